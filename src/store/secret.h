/* Secrets: passwords by argon2id, tokens by random and digest, both of libsodium. No I/O but the kernel's randomness. */
#pragma once
#include <glib.h>

#define DIGEST_BYTES 32

#define PASSWORD_MIN_CHARS 8
#define PASSWORD_MAX_BYTES 1024

/* password_check: long enough and not endless, and of characters that a login takes; AEROSTAT_ERROR_INVALID says what would be right. */
gboolean password_check(const char *password, GError **error);

/* password_hash: (transfer full); takes 64 MiB and about a tenth of a second: never on the engine's thread.
 * AEROSTAT_ERROR_UNAVAILABLE when there is no memory for it. */
char *password_hash(const char *password, GError **error);

/* password_matches: as long for @hash NULL (nobody of that name) as for any other: FALSE then. Not on the engine's
 * thread. */
gboolean password_matches(const char *hash, const char *password);

/* secret_new: (transfer full) @prefix and 256 random bits in letters, digits, - and _. */
char *secret_new(const char *prefix);
/* secret_digest: what is kept of it. A secret is random, so one pass is enough. */
void secret_digest(const char *secret, guint8 ret[DIGEST_BYTES]);
/* secret_free: overwrites it before it is freed; NULL is fine. */
void secret_free(char *secret);
