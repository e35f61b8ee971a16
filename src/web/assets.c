#include "web/assets.h"
#include <string.h>
#include <gio/gio.h>

#define ROOT  "/org/aerostat/dashboard"
#define INDEX ROOT "/index.html"

typedef struct {
    WebBody *body;
    char *etag;
    const char *type;
} Asset;

struct WebAssets {
    GHashTable *by_path; /* resource path -> Asset */
};

static const char *type_of(const char *path)
{
    static const struct {
        const char *ending, *type;
    } TYPES[] = {
        {".html", "text/html; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".svg", "image/svg+xml"},
        {".json", "application/json"},
        {".webmanifest", "application/manifest+json"},
        {".png", "image/png"},
        {".txt", "text/plain; charset=utf-8"},
        {".woff2", "font/woff2"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(TYPES); i++)
        if (g_str_has_suffix(path, TYPES[i].ending))
            return TYPES[i].type;
    return "application/octet-stream";
}

static void asset_free(gpointer data)
{
    Asset *asset = data;
    web_body_unref(asset->body);
    g_free(asset->etag);
    g_free(asset);
}

static Asset *load(const char *path)
{
    g_autoptr(GBytes) bytes = g_resources_lookup_data(path, G_RESOURCE_LOOKUP_FLAGS_NONE, NULL);
    if (!bytes)
        return NULL;
    g_autofree char *digest = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, bytes);
    Asset *asset = g_new0(Asset, 1);
    asset->body = web_body_new_lasting(bytes);
    asset->etag = g_strdup_printf("W/\"%.20s\"", digest); /* weak: compressed and plain are one */
    asset->type = type_of(path);
    return asset;
}

static const Asset *find(WebAssets *assets, const char *path)
{
    Asset *asset = g_hash_table_lookup(assets->by_path, path);
    if (asset)
        return asset;
    asset = load(path);
    if (asset)
        g_hash_table_insert(assets->by_path, g_strdup(path), asset);
    return asset;
}

static gboolean is_place(const char *path)
{
    const char *last = strrchr(path, '/');
    return last && !strchr(last, '.');
}

static gboolean tag_matches(const char *header, const char *etag)
{
    return header && (strcmp(header, "*") == 0 || strstr(header, etag + 2)); /* W/ is not compared */
}

void web_assets_answer(WebAssets *assets, HttpRequest *request)
{
    const char *method = http_method(request);
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        http_add_header(request, "Allow", "GET, HEAD");
        http_problem(request, 405, "method-not-allowed", "pages are only read", NULL);
        return;
    }
    const char *path = http_path(request);
    g_autofree char *resource = g_strconcat(ROOT, path, NULL);
    const Asset *asset = is_place(path) ? find(assets, INDEX) : find(assets, resource);
    if (!asset) {
        http_problem(request, 404, "not-found", "there is no such page", NULL);
        return;
    }
    http_add_header(request, "ETag", asset->etag);
    http_add_header(request, "Cache-Control", "no-cache"); /* kept, and asked about each time */
    if (tag_matches(http_header(request, "If-None-Match"), asset->etag))
        http_answer(request, 304, NULL, NULL);
    else
        http_answer_body(request, 200, asset->type, asset->body);
}

WebAssets *web_assets_new(void)
{
    WebAssets *assets = g_new0(WebAssets, 1);
    assets->by_path = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, asset_free);
    return assets;
}

void web_assets_free(WebAssets *assets)
{
    if (!assets)
        return;
    g_hash_table_unref(assets->by_path);
    g_free(assets);
}
