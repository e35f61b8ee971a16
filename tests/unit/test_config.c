#include <string.h>
#include <glib/gstdio.h>
#include <unistd.h>
#include "base/config.h"
#include "base/error.h"
#include "base/size.h"
#include "base/suggest.h"

static Config *parse(const char *text, GError **error)
{
    return config_parse(text, strlen(text), "a.conf", error);
}

static void assert_list(char **list, const char *expect)
{
    g_autofree char *joined = g_strjoinv("|", list);
    g_assert_cmpstr(joined, ==, expect);
}

static void assert_one_line(const GError *error)
{
    g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID);
    g_assert_true(g_utf8_validate(error->message, -1, NULL));
    for (const char *p = error->message; *p; p++)
        g_assert_false(g_ascii_iscntrl(*p));
    g_assert_nonnull(strchr(error->message, ';'));
    g_assert_cmpuint(strlen(error->message), <, 400);
}

/* @text must be refused with exactly @message. */
static void assert_refused(const char *text, const char *message)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *printable = error_printable(text, -1, 80);
    g_test_message("%s", printable);
    g_assert_null(parse(text, &error));
    assert_one_line(error);
    g_assert_cmpstr(error->message, ==, message);
}

static void assert_defaults(const Config *config)
{
    g_assert_true(config->pool.is_auto);
    g_assert_true(config->reserve.is_percent);
    g_assert_cmpfloat(config->reserve.percent, ==, 10);
    g_assert_true(config->slack.is_percent);
    g_assert_cmpfloat(config->slack.percent, ==, 5);
    g_assert_cmpint(config->mode, ==, MODE_OBSERVE);
    g_assert_true(config->minimum.is_percent);
    g_assert_cmpfloat(config->minimum.percent, ==, 25);
    g_assert_cmpuint(config->weight, ==, 100);
    g_assert_true(config->overhead.is_auto);
    g_assert_true(config->libvirt_enabled);
    g_assert_cmpstr(config->libvirt_uri, ==, "qemu:///system");
    assert_list(config->libvirt_servers, "*");
    g_assert_null(config->lxc_path);
    assert_list(config->lxc_servers, "*");
    g_assert_cmpuint(g_strv_length(config->qmp_sockets), ==, 0);
    g_assert_cmpstr(config->control_socket, ==, "/run/aerostat/control.sock");
    g_assert_cmpstr(config->control_group, ==, "aerostat");
    g_assert_cmpstr(config->store_path, ==, "/var/lib/aerostat");
    g_assert_cmpstr(config->images_path, ==, "/etc/aerostat/images");
    g_assert_cmpstr(config->images_disks, ==, "/var/lib/libvirt/images");
    g_assert_cmpstr(config->web_listen, ==, "127.0.0.1:8470");
    g_assert_cmpuint(config_key_line(config, "host", "pool"), ==, 0);
}

static void test_defaults(void)
{
    static const char *const EMPTY[] = {
        "",
        "\n\n",
        "# only\n; comments\n",
        "\xef\xbb\xbf# marked",
        " \t\r\n",
        "[host]",
        "[host]\n[policy]\n[libvirt]\n[lxc]\n[qmp]\n[control]\n[store]\n[web]\n"};
    g_autoptr(Config) made = config_new();
    g_assert_null(made->file);
    assert_defaults(made);
    g_autoptr(Config) loaded = config_load(NULL, NULL);
    assert_defaults(loaded);
    for (guint i = 0; i < G_N_ELEMENTS(EMPTY); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Config) config = parse(EMPTY[i], &error);
        g_assert_no_error(error);
        assert_defaults(config);
        g_assert_cmpstr(config->file, ==, "a.conf");
    }
    config_free(NULL);
}

static const char EVERY_KEY[] = "# every key\n"
                                "[host]\n"
                                "pool = 48G\n"
                                "reserve=4GiB\n"
                                "\tslack =  2.5 % \n"
                                "mode = manage\n"
                                "\n"
                                "[policy]\n"
                                "minimum = 512M\n"
                                "weight = 250\n"
                                "overhead = 64MiB\n"
                                "[libvirt]\n"
                                "enabled = false\n"
                                "uri = qemu+unix:///system?socket=/run/a=b\n"
                                "servers = web-*; db-[0-9] ,x\\[;\n"
                                "[lxc]\n"
                                "path = /var/lib/lxc\n"
                                "servers = ct-?\n"
                                "[qmp]\n"
                                "sockets = /run/qemu/*.qmp,/tmp/a\n"
                                "[control]\n"
                                "socket = /tmp/größe.sock\n"
                                "group = kvm\n"
                                "; the end is near\n"
                                "[store]\n"
                                "path = /srv/aerostat\n"
                                "[images]\n"
                                "path = /srv/images\n"
                                "disks = /srv/disks\n"
                                "[web]\n"
                                "listen = [::1]:80\n";

static void assert_every_key(const Config *config)
{
    g_assert_false(config->pool.is_auto);
    g_assert_cmpuint(config->pool.bytes, ==, 48 * GIB);
    g_assert_false(config->reserve.is_percent);
    g_assert_cmpuint(config->reserve.bytes, ==, 4 * GIB);
    g_assert_cmpfloat(config->slack.percent, ==, 2.5);
    g_assert_cmpint(config->mode, ==, MODE_MANAGE);
    g_assert_cmpuint(config->minimum.bytes, ==, 512 * MIB);
    g_assert_cmpuint(config->weight, ==, 250);
    g_assert_false(config->overhead.is_auto);
    g_assert_cmpuint(config->overhead.bytes, ==, 64 * MIB);
    g_assert_false(config->libvirt_enabled);
    g_assert_cmpstr(config->libvirt_uri, ==, "qemu+unix:///system?socket=/run/a=b");
    assert_list(config->libvirt_servers, "web-*|db-[0-9]|x\\[");
    g_assert_cmpstr(config->lxc_path, ==, "/var/lib/lxc");
    assert_list(config->lxc_servers, "ct-?");
    assert_list(config->qmp_sockets, "/run/qemu/*.qmp|/tmp/a");
    g_assert_cmpstr(config->control_socket, ==, "/tmp/größe.sock");
    g_assert_cmpstr(config->control_group, ==, "kvm");
    g_assert_cmpstr(config->store_path, ==, "/srv/aerostat");
    g_assert_cmpstr(config->images_path, ==, "/srv/images");
    g_assert_cmpstr(config->images_disks, ==, "/srv/disks");
    g_assert_cmpstr(config->web_listen, ==, "[::1]:80");
    g_assert_cmpuint(config_key_line(config, "host", "pool"), ==, 3);
    g_assert_cmpuint(config_key_line(config, "policy", "weight"), ==, 10);
    g_assert_cmpuint(config_key_line(config, "web", "listen"), ==, 31);
    g_assert_cmpuint(config_key_line(config, "web", "weight"), ==, 0);
    g_assert_cmpuint(config_key_line(config, "nowhere", "pool"), ==, 0);
}

static void test_every_key(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = parse(EVERY_KEY, &error);
    g_assert_no_error(error);
    assert_every_key(config);
    /* The same from Windows, marked, and without the last newline. */
    g_auto(GStrv) lines = g_strsplit(EVERY_KEY, "\n", -1);
    g_autofree char *joined = g_strjoinv("\r\n", lines);
    g_autofree char *windows = g_strconcat("\xef\xbb\xbf", joined, NULL);
    windows[strlen(windows) - 2] = '\0';
    g_autoptr(Config) same = parse(windows, &error);
    g_assert_no_error(error);
    assert_every_key(same);
}

/* KEY VALUE pairs that are right; the value's effect is the table's above. */
static void test_good_values(void)
{
    static const struct {
        const char *section, *line;
    } ROWS[] = {
        {"host", "pool=auto"},
        {"host", "pool=100%"},
        {"host", "pool = 0.5T"},
        {"host", "reserve=0"},
        {"host", "reserve=99%"},
        {"host", "slack=0"},
        {"host", "slack=50%"},
        {"host", "mode=observe"},
        {"policy", "minimum=0"},
        {"policy", "minimum=100%"},
        {"policy", "weight=1"},
        {"policy", "weight=10000"},
        {"policy", "overhead=auto"},
        {"policy", "overhead=0"},
        {"libvirt", "enabled=true"},
        {"libvirt", "enabled=off"},
        {"libvirt", "uri=test:///default"},
        {"libvirt", "uri=qemu+ssh://root@host/system"},
        {"libvirt", "servers=*"},
        {"libvirt", "servers=a,,b;;"},
        {"libvirt", "servers=[]a]*"},
        {"libvirt", "servers=[!]a]*"},
        {"libvirt", "servers=a#b"},
        {"lxc", "path=/"},
        {"qmp", "sockets="},
        {"qmp", "sockets=/a*/b"},
        {"control", "group=_a.b-c9"},
        {"control", "socket=/s"},
        {"web", "listen=0.0.0.0:1"},
        {"web", "listen=[::]:65535"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(ROWS); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *text = g_strdup_printf("[%s]\n%s", ROWS[i].section, ROWS[i].line);
        g_autoptr(Config) config = parse(text, &error);
        g_assert_no_error(error);
        g_assert_nonnull(config);
    }
}

/* For every key of every kind: what is wrong, in its words. The line is always 3. */
static const struct {
    const char *section, *key, *value, *wrong;
} BAD_VALUES[] = {
    {"host", "pool", "", "has no value"},
    {"host", "pool", "lots",
     "is not a size; write a size such as 512M or 2GiB, or a percentage such as 5%, or auto"},
    {"host", "pool", "Auto", "is not a size"},
    {"host", "pool", "0", "leaves nothing to share"},
    {"host", "pool", "0%", "leaves nothing to share"},
    {"host", "pool", "101%", "is more than all of it"},
    {"host", "pool", "5%%", "is not a percentage"},
    {"host", "pool", "-5%", "is negative"},
    {"host", "pool", "48G;", "is not a size"},
    {"host", "pool", "18446744073709551616", "is too large"},
    {"host", "pool", "48G # half", "has a comment after the value"},
    {"host", "reserve", "auto", "is not a size"},
    {"host", "reserve", "-1", "is negative"},
    {"host", "slack", "50.1%", "is more than half of the pool"},
    {"host", "slack", "auto", "is not a size"},
    {"host", "mode", "Manage", "is not a mode; write observe"},
    {"host", "mode", "manage observe", "is not a mode"},
    {"policy", "minimum", "all", "is not a size"},
    {"policy", "weight", "0", "is not a weight; write a whole number from 1 to 10000"},
    {"policy", "weight", "10001", "is not a weight"},
    {"policy", "weight", "-1", "is not a weight"},
    {"policy", "weight", "+1", "is not a weight"},
    {"policy", "weight", "1.5", "is not a weight"},
    {"policy", "weight", "1e3", "is not a weight"},
    {"policy", "weight", "18446744073709551617", "is not a weight"},
    {"policy", "overhead", "5%", "is a percentage, and here it would be of nothing"},
    {"policy", "overhead", "some", "is not a size; write a size such as 512M or 2GiB, or auto"},
    {"libvirt", "enabled", "maybe", "is neither yes nor no; write true or false"},
    {"libvirt", "enabled", "TRUE", "is neither yes nor no"},
    {"libvirt", "uri", "", "has no value"},
    {"libvirt", "uri", "/system", "is not a libvirt URI"},
    {"libvirt", "uri", "\"qemu:///system\"", "is not a libvirt URI"},
    {"libvirt", "uri", "qemu:///system x", "is not a libvirt URI"},
    {"libvirt", "servers", "", "has no value"},
    {"libvirt", "servers", ";,", "names nothing"},
    {"libvirt", "servers", "web-[1,2]", "has no closing ]"},
    {"libvirt", "servers", "a;b[!]", "\"b[!]\" has no closing ]"},
    {"lxc", "path", "lxc", "is not an absolute path"},
    {"lxc", "path", "~/lxc", "is not an absolute path"},
    {"lxc", "servers", "[", "has no closing ]"},
    {"qmp", "sockets", "/a;b", "\"b\" is not an absolute path"},
    {"control", "socket", "control.sock", "is not an absolute path"},
    {"control", "socket", "/run/aerostat/", "is a folder"},
    {"control", "group", "no such", "is not the name of a group"},
    {"control", "group", "-x", "is not the name of a group"},
    {"control", "group", "abcdefghijklmnopqrstuvwxyz0123456", "is not the name of a group"},
    {"store", "path", "aerostat.db", "is not an absolute path"},
    {"web", "listen", "8470", "has no port"},
    {"web", "listen", ":8470", "has no numeric address"},
    {"web", "listen", "localhost:8470", "has no numeric address"},
    {"web", "listen", "127.0.0.1", "has no port"},
    {"web", "listen", "127.0.0.256:1", "has no numeric address"},
    {"web", "listen", "127.0.0.1:0", "has no port from 1"},
    {"web", "listen", "127.0.0.1:65536", "has no port from 1"},
    {"web", "listen", "127.0.0.1:", "has no port from 1"},
    {"web", "listen", "127.0.0.1:8470x", "has no port from 1"},
    {"web", "listen", "::1:8470", "has no numeric address"},
    {"web", "listen", "[:8470", "has no numeric address"},
    {"web", "listen", "[]:8470", "has no numeric address"},
    {"web", "listen", "[127.0.0.1]:8470", "has no numeric address"},
};

static void test_bad_values(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(BAD_VALUES); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *text = g_strdup_printf("#\n[%s]\n%s = %s\nnonsense\n", BAD_VALUES[i].section,
                                                BAD_VALUES[i].key, BAD_VALUES[i].value);
        g_test_message("[%s] %s = %s", BAD_VALUES[i].section, BAD_VALUES[i].key, BAD_VALUES[i].value);
        g_assert_null(parse(text, &error));
        assert_one_line(error);
        g_assert_true(g_str_has_prefix(error->message, "a.conf:3: "));
        g_assert_nonnull(strstr(error->message, BAD_VALUES[i].wrong));
        g_assert_null(parse(text, NULL));
    }
}

static void test_messages(void)
{
    assert_refused("[host]\npol = 5G", "a.conf:2: [host] has no key \"pol\"; did you mean \"pool\"?");
    assert_refused("[host]\nPOOL = 5G", "a.conf:2: [host] has no key \"POOL\"; did you mean \"pool\"?");
    assert_refused("[host]\nopol = 5G", "a.conf:2: [host] has no key \"opol\"; did you mean \"pool\"?");
    assert_refused("[host]\nweight = 5", "a.conf:2: [host] has no key \"weight\"; it belongs under [policy]");
    assert_refused("[host]\ncolour = red",
                   "a.conf:2: [host] has no key \"colour\"; its keys are pool, reserve, slack, mode");
    assert_refused("\npool = 5G", "a.conf:2: \"pool\" stands before any section; it belongs under [host]");
    assert_refused("x = 1", "a.conf:1: \"x\" stands before any section; begin with one such as [host]");
    assert_refused("[libvrit]", "a.conf:1: there is no section [libvrit]; did you mean [libvirt]?");
    assert_refused("[]",
                   "a.conf:1: there is no section []; the sections are [host], [policy], [libvirt], [lxc], "
                   "[qmp], [control], [store], [images], [web]");
    assert_refused("[host]\npool = 5G\n\n[policy]\n[host]\npool = 6G",
                   "a.conf:6: [host] pool was already set on line 2; keep one of the two");
    assert_refused("[qmp]\nsockets =\nsockets =",
                   "a.conf:3: [qmp] sockets was already set on line 2; keep one of the two");
    assert_refused("[host]\npool 5G",
                   "a.conf:2: \"pool 5G\" has no =; write KEY = VALUE, or [name] to begin a section");
    assert_refused("[host]\n = 5G", "a.conf:2: \"= 5G\" has no key before the =; write KEY = VALUE");
    assert_refused("[host", "a.conf:1: \"[host\" has no closing ]; write a section as [name]");
    assert_refused("[host] pool = 1",
                   "a.conf:1: \"[host] pool = 1\" goes on after the ]; give what follows a line of its own");
    assert_refused("[host]\npool =",
                   "a.conf:2: [host] pool has no value; write one, or leave the line out for auto");
    assert_refused("[lxc]\npath =",
                   "a.conf:2: [lxc] path has no value; write one, or leave the line out for none");
    assert_refused("[host]\npool == 5G",
                   "a.conf:2: [host] pool: \"= 5G\" is not a size; write a size such as 512M or "
                   "2GiB, or a percentage such as 5%, or auto");
    assert_refused("[host]\nreserve = 5X",
                   "a.conf:2: [host] reserve: \"5X\" has no known unit; write a size such as "
                   "512M or 2GiB, or a percentage such as 5%");
}

static void test_socket_length(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *fits = g_strnfill(106, 'a'), *long_one = g_strnfill(107, 'a');
    g_autofree char *good = g_strconcat("[control]\nsocket=/", fits, NULL);
    g_autofree char *bad = g_strconcat("[control]\nsocket=/", long_one, NULL);
    g_autoptr(Config) config = parse(good, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(strlen(config->control_socket), ==, 107);
    g_assert_null(parse(bad, &error));
    assert_one_line(error);
    g_assert_nonnull(strstr(error->message, "is too long for a socket; write a path of at most 107 bytes"));
}

#define BYTES(literal) (literal), sizeof(literal) - 1

static void test_bytes(void)
{
    static const struct {
        const char *text;
        gsize length;
        const char *message;
    } ROWS[] = {
        {BYTES("[host]\npool=5\0G"), "a.conf:2: \"pool=5\\x00G\" has a NUL byte; write plain UTF-8 text"},
        {BYTES("\0"), "a.conf:1: \"\\x00\" has a NUL byte; write plain UTF-8 text"},
        {BYTES("# \0\n"), "a.conf:1: \"# \\x00\" has a NUL byte; write plain UTF-8 text"},
        {BYTES("#\n# gr\xf6\xdf"
               "e\n"),
         "a.conf:2: \"# gr\\xf6\\xdfe\" is not UTF-8; write plain UTF-8 text"},
        {BYTES("\x7f"
               "ELF\x02"),
         "a.conf:1: \"\\x7fELF\\x02\" has a control character; write plain UTF-8 text"},
        {BYTES("[host]\rpool=1\r"),
         "a.conf:1: \"[host]\\x0dpool=1\" has a control character; write plain UTF-8 text"},
        {BYTES("\xef\xbb"), "a.conf:1: \"\\xef\\xbb\" is not UTF-8; write plain UTF-8 text"},
        {BYTES("\xff\xfe[\0h\0"),
         "a.conf:1: \"\\xff\\xfe[\\x00h\\x00\" has a NUL byte; write plain UTF-8 text"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(ROWS); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *exact = g_memdup2(ROWS[i].text, ROWS[i].length);
        g_assert_null(config_parse(exact, ROWS[i].length, "a.conf", &error));
        assert_one_line(error);
        g_assert_cmpstr(error->message, ==, ROWS[i].message);
    }
}

static void test_random_bytes(void)
{
    for (guint i = 0; i < 2000; i++) {
        g_autoptr(GError) error = NULL;
        gsize length = (gsize)g_test_rand_int_range(1, 400);
        g_autofree char *junk = g_malloc(length);
        for (gsize j = 0; j < length; j++)
            junk[j] = (char)g_test_rand_int_range(0, 256);
        g_autoptr(Config) config = config_parse(junk, length, "a.conf", &error);
        g_assert_true((config == NULL) == (error != NULL));
        if (error)
            assert_one_line(error);
    }
}

static void test_long_lines(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *letters = g_strnfill(1000000, 'x');
    const char *const formats[] = {"%s", "[%s]", "[%s", "[host]\n%s=1", "[host]\npool=%s", "=%s"};
    for (guint i = 0; i < G_N_ELEMENTS(formats); i++) {
        g_auto(GStrv) halves = g_strsplit(formats[i], "%s", 2);
        g_autofree char *text = g_strconcat(halves[0], letters, halves[1], NULL);
        g_assert_null(parse(text, &error));
        assert_one_line(error);
        g_clear_error(&error);
    }
    g_autofree char *comment = g_strconcat("#", letters, "\n[policy]\nweight=7", NULL);
    g_autoptr(Config) config = parse(comment, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(config_key_line(config, "policy", "weight"), ==, 3);
}

static void test_load(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *folder = g_dir_make_tmp("aerostat-config-XXXXXX", &error);
    g_assert_no_error(error);
    g_autofree char *path = g_build_filename(folder, "two\nlines.conf", NULL);
    g_assert_null(config_load(path, &error));
    assert_one_line(error);
    g_assert_nonnull(strstr(error->message, "No such file"));
    g_clear_error(&error);
    g_assert_true(g_file_set_contents(path, "[host]\npool=x", -1, NULL));
    g_assert_null(config_load(path, &error));
    assert_one_line(error);
    g_assert_nonnull(strstr(error->message, "two\\x0alines.conf:2: [host] pool: \"x\""));
    g_clear_error(&error);
    g_assert_true(g_file_set_contents(path, EVERY_KEY, -1, NULL));
    g_autoptr(Config) config = config_load(path, &error);
    g_assert_no_error(error);
    assert_every_key(config);
    g_assert_cmpstr(config->file, ==, path);
    g_assert_null(config_load(folder, &error));
    assert_one_line(error);
    g_clear_error(&error);
    g_assert_null(config_load("/dev/zero", &error)); /* comes back at all, and soon */
    assert_one_line(error);
    g_assert_nonnull(strstr(error->message, "at most 1 MiB"));
    g_unlink(path);
    g_rmdir(folder);
}

static void test_check_host(void)
{
    static const struct {
        const char *text;
        uint64_t host;
        const char *message; /* NULL: fine */
    } ROWS[] = {
        {"", 32 * GIB, NULL},
        {"", 1, NULL},
        {"", 0, "a.conf: [host] reserve: 0 B leaves nothing of the host's 0 B; write less, such as 10%"},
        {"[host]\npool=32G", 32 * GIB, NULL},
        {"[host]\npool=100%", 32 * GIB, NULL},
        {"[host]\npool=64G", 32 * GIB,
         "a.conf:2: [host] pool: 64 GiB is more than the host's 32 GiB; write at most that, or auto"},
        {"[host]\n\nreserve=32G", 32 * GIB,
         "a.conf:3: [host] reserve: 32 GiB leaves nothing of the host's 32 GiB; write less, such as 10%"},
        {"[host]\nreserve=100%", 32 * GIB,
         "a.conf:2: [host] reserve: 32 GiB leaves nothing of the host's 32 GiB; write less, such as 10%"},
        {"[host]\nreserve=31G", 32 * GIB, NULL},
        {"[host]\npool=8G\nslack=4G", 32 * GIB, NULL},
        {"[host]\npool=8G\nslack=5G", 32 * GIB,
         "a.conf:3: [host] slack: 5 GiB is more than half of the pool, which is 8 GiB; write less, such as "
         "5%"},
        {"[host]\nreserve=8G\nslack=13G", 32 * GIB,
         "a.conf:3: [host] slack: 13 GiB is more than half of the pool, which is 24 GiB; write less, such as "
         "5%"},
        {"[host]\nslack=50%", 32 * GIB, NULL},
    };
    for (guint i = 0; i < G_N_ELEMENTS(ROWS); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Config) config = parse(ROWS[i].text, &error);
        g_assert_no_error(error);
        gboolean ok = config_check_host(config, ROWS[i].host, &error);
        g_assert_cmpint(ok, ==, ROWS[i].message == NULL);
        g_assert_cmpstr(error ? error->message : NULL, ==, ROWS[i].message);
    }
    g_autoptr(Config) defaults = config_new();
    g_autoptr(GError) error = NULL;
    g_assert_false(config_check_host(defaults, 0, &error));
    g_assert_true(g_str_has_prefix(error->message, "defaults: [host] reserve: "));
}

static void test_resolve(void)
{
    const SizeSetting automatic = {.is_auto = TRUE, .bytes = 1}, half = {.is_percent = TRUE, .percent = 50};
    const SizeSetting size = {.bytes = 7}, all = {.is_percent = TRUE, .percent = 100};
    g_assert_cmpuint(size_setting_resolve(&automatic, 100, 9), ==, 9);
    g_assert_cmpuint(size_setting_resolve(&half, 101, 9), ==, 50);
    g_assert_cmpuint(size_setting_resolve(&size, 100, 9), ==, 7);
    g_assert_cmpuint(size_setting_resolve(&all, UINT64_MAX, 9), ==, UINT64_MAX);
}

static void test_suggest(void)
{
    static const char *const KNOWN[] = {"status", NULL, "list", "show", "", "explain"};
    static const struct {
        const char *word, *expect;
    } ROWS[] = {
        {"status", "status"}, {"stauts", "status"}, {"staus", "status"},    {"STATUS", "status"},
        {"lst", "list"},      {"lits", "list"},     {"explian", "explain"}, {"xplin", "explain"},
        {"", NULL},           {"x", NULL},          {"quit", NULL},         {"shoowww", NULL},
    };
    for (guint i = 0; i < G_N_ELEMENTS(ROWS); i++)
        g_assert_cmpstr(suggest_nearest(ROWS[i].word, KNOWN, G_N_ELEMENTS(KNOWN)), ==, ROWS[i].expect);
    g_autofree char *longest = g_strnfill(31, 's'), *longer = g_strnfill(100000, 's');
    g_assert_null(suggest_nearest(longest, KNOWN, G_N_ELEMENTS(KNOWN)));
    g_assert_null(suggest_nearest(longer, KNOWN, G_N_ELEMENTS(KNOWN)));
    g_assert_null(suggest_nearest("status", NULL, 0));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config/defaults", test_defaults);
    g_test_add_func("/config/every-key", test_every_key);
    g_test_add_func("/config/good-values", test_good_values);
    g_test_add_func("/config/bad-values", test_bad_values);
    g_test_add_func("/config/messages", test_messages);
    g_test_add_func("/config/socket-length", test_socket_length);
    g_test_add_func("/config/bytes", test_bytes);
    g_test_add_func("/config/random-bytes", test_random_bytes);
    g_test_add_func("/config/long-lines", test_long_lines);
    g_test_add_func("/config/load", test_load);
    g_test_add_func("/config/check-host", test_check_host);
    g_test_add_func("/config/resolve", test_resolve);
    g_test_add_func("/config/suggest", test_suggest);
    return g_test_run();
}
