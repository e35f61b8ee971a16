/*
 * Login: passwords are checked and hashed on a thread of their own, one at a time. A wrong one is answered after a second,
 * an unknown name like a wrong password; who fails too often is refused at once, without any work (limiter.h); and no source
 * has more than a few attempts under way, so that a flood from one leaves the others their turn.
 */
#pragma once
#include "store/tokens.h"

typedef struct Login Login;

/* login_new: @store is borrowed. Everything is called and answered on the main context that is the default here. */
Login *login_new(Store *store);
/* Answers what is under way with AEROSTAT_ERROR_UNAVAILABLE. */
void login_free(Login *login);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Login, login_free)

/* @error: NULL when the password is right: UNAUTHENTICATED when not. */
typedef void (*LoginChecked)(const GError *error, gpointer user_data);
/* login_check: answers once, never from within the call. @source: whose attempt it is, for the limits.
 * FALSE (and no answer) with AEROSTAT_ERROR_RATE_LIMITED and how long to wait. */
gboolean login_check(Login *login, const char *account, const char *password, const char *source,
                     LoginChecked done, gpointer user_data, GError **error);

/* @hash: NULL with @error when there was no memory for it. */
typedef void (*LoginHashed)(const char *hash, const GError *error, gpointer user_data);
/* login_hash: answers once, never from within the call. */
void login_hash(Login *login, const char *password, LoginHashed done, gpointer user_data);
