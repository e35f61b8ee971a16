/* The nearest known word to a misspelt one, for messages that say what would be right. */
#pragma once
#include <glib.h>

/*
 * suggest_nearest:
 * @word:  as it was written; any bytes are safe
 * @known: (array length=n): may hold NULLs, which are passed over
 *
 * Returns: the nearest of @known by edits (insert, remove, replace, swap neighbours; case does not count) when it is
 * near enough to be meant, otherwise NULL. The first one wins a tie.
 */
const char *suggest_nearest(const char *word, const char *const *known, gsize n);
