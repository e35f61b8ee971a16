#include <string.h>
#include "base/suggest.h"

/* No key, section or command of ours is longer; longer words are nobody's slip of the finger. */
#define WORD_MAX 31

static guint min3(guint a, guint b, guint c)
{
    return MIN(MIN(a, b), c);
}

/* Optimal string alignment: Levenshtein's distance that counts two swapped neighbours as one slip. */
static guint edit_distance(const char *a, gsize a_length, const char *b, gsize b_length)
{
    guint row[3][WORD_MAX + 1];
    guint *before = row[0], *above = row[1], *here = row[2];
    for (guint j = 0; j <= b_length; j++)
        above[j] = j;
    for (guint i = 1; i <= a_length; i++) {
        here[0] = i;
        for (guint j = 1; j <= b_length; j++) {
            char x = g_ascii_tolower(a[i - 1]), y = g_ascii_tolower(b[j - 1]);
            here[j] = min3(above[j] + 1, here[j - 1] + 1, above[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == g_ascii_tolower(b[j - 2]) && y == g_ascii_tolower(a[i - 2]))
                here[j] = MIN(here[j], before[j - 2] + 1);
        }
        guint *oldest = before;
        before = above;
        above = here;
        here = oldest;
    }
    return above[b_length];
}

const char *suggest_nearest(const char *word, const char *const *known, gsize n)
{
    const char *nearest = NULL;
    gsize length = strlen(word);
    if (length == 0 || length > WORD_MAX)
        return NULL;
    guint best = G_MAXUINT;
    for (gsize i = 0; i < n; i++) {
        gsize known_length = known[i] ? strlen(known[i]) : 0;
        if (known_length == 0 || known_length > WORD_MAX)
            continue;
        guint distance = edit_distance(word, length, known[i], known_length);
        /* A third of the letters, and one at least: "pol" means "pool", "xyz" does not mean "uri". */
        guint enough = MAX(1, (guint)known_length / 3);
        if (distance <= enough && distance < best) {
            best = distance;
            nearest = known[i];
        }
    }
    return nearest;
}
