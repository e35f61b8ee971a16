#include <sodium.h>
#include <string.h>
#include "base/error.h"
#include "store/secret.h"

#define SECRET_BYTES 32

/* What libsodium takes for a login that somebody waits for: 64 MiB, two passes. */
#define PASSES       crypto_pwhash_OPSLIMIT_INTERACTIVE
#define MEMORY_BYTES crypto_pwhash_MEMLIMIT_INTERACTIVE

G_STATIC_ASSERT(DIGEST_BYTES == crypto_generichash_BYTES);

/* Safe to call again, from any thread; it fails only without a source of randomness. */
static void begin(void)
{
    if (sodium_init() < 0)
        g_error("libsodium cannot be initialised: the kernel gives no randomness");
}

gboolean password_check(const char *password, GError **error)
{
    if (strlen(password) > PASSWORD_MAX_BYTES) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                    "the password is too long; at most %d bytes", PASSWORD_MAX_BYTES);
        return FALSE;
    }
    if (!g_utf8_validate(password, -1, NULL) || g_utf8_strlen(password, -1) < PASSWORD_MIN_CHARS) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                    "the password is too short; at least %d characters of UTF-8", PASSWORD_MIN_CHARS);
        return FALSE;
    }
    for (const char *c = password; *c; c++)
        if (g_ascii_iscntrl(*c)) {
            g_set_error(
                error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                "the password has a control character (a tab, a line's end, ...), which cannot be typed "
                "when logging in; leave it out");
            return FALSE;
        }
    return TRUE;
}

char *password_hash(const char *password, GError **error)
{
    char hash[crypto_pwhash_STRBYTES];
    begin();
    if (crypto_pwhash_str_alg(hash, password, strlen(password), PASSES, MEMORY_BYTES,
                              crypto_pwhash_ALG_ARGON2ID13) == 0)
        return g_strdup(hash);
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE,
                "there is no memory to hash a password (64 MiB); try again");
    return NULL;
}

/* Of a password that nobody has: a name that is not there takes as long as one that is. */
static const char *nobodys_hash(void)
{
    static char *hash;
    if (g_once_init_enter(&hash)) {
        g_autofree char *password = secret_new("");
        char *made = password_hash(password, NULL);
        g_once_init_leave(&hash, made ? made : g_strdup("$argon2id$none"));
    }
    return hash;
}

gboolean password_matches(const char *hash, const char *password)
{
    begin();
    const char *against = hash ? hash : nobodys_hash();
    return crypto_pwhash_str_verify(against, password, strlen(password)) == 0 && hash != NULL;
}

char *secret_new(const char *prefix)
{
    guint8 bytes[SECRET_BYTES];
    char text[sodium_base64_ENCODED_LEN(SECRET_BYTES, sodium_base64_VARIANT_URLSAFE_NO_PADDING)];
    begin();
    randombytes_buf(bytes, sizeof bytes);
    sodium_bin2base64(text, sizeof text, bytes, sizeof bytes, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    char *secret = g_strconcat(prefix, text, NULL);
    sodium_memzero(bytes, sizeof bytes);
    sodium_memzero(text, sizeof text);
    return secret;
}

void secret_digest(const char *secret, guint8 ret[DIGEST_BYTES])
{
    begin();
    crypto_generichash(ret, DIGEST_BYTES, (const guint8 *)secret, strlen(secret), NULL, 0);
}

void secret_free(char *secret)
{
    if (secret)
        sodium_memzero(secret, strlen(secret));
    g_free(secret);
}
