/* Splits one step of a script into words and reads its sizes; no state. */
#define _GNU_SOURCE
#include "lab.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* 4096, 512K, 512M, 2GiB (binary), 1.5G, or 60% of the memory that the guest booted with. */
bool script_size(const char *text, uint64_t total_bytes, uint64_t *bytes)
{
    char *end;
    if (!isdigit((unsigned char)*text))
        return false;
    double value = strtod(text, &end), unit = 1;
    switch (toupper((unsigned char)*end)) {
    case 'K':
        unit = 1024.0;
        break;
    case 'M':
        unit = 1024.0 * 1024;
        break;
    case 'G':
        unit = 1024.0 * 1024 * 1024;
        break;
    case '%':
        unit = (double)total_bytes / 100;
        break;
    case '\0':
        break;
    default:
        return false;
    }
    if (*end != '\0' && end[1] != '\0' && strcasecmp(end + 1, "iB") != 0 && strcasecmp(end + 1, "B") != 0)
        return false;
    if (value * unit > 1e15)
        return false;
    *bytes = (uint64_t)(value * unit);
    return true;
}

/* Words are divided by blanks or colons; `@` and the word `at` both divide a size from its rate. */
bool script_split(char *text, struct step *step)
{
    *step = (struct step){0};
    char *save = NULL;
    for (char *word = strtok_r(text, " \t:\r\n", &save); word != NULL;
         word = strtok_r(NULL, " \t:\r\n", &save)) {
        char *rate = strchr(word, '@');
        if (rate != NULL)
            *rate++ = '\0';
        if (*word != '\0' && strcmp(word, "at") != 0) {
            if (step->n == 8)
                return false;
            step->words[step->n++] = word;
        }
        if (rate != NULL && *rate != '\0') {
            if (step->n == 8)
                return false;
            step->words[step->n++] = rate;
        }
    }
    return step->n > 0;
}

static void strip_per_second(char *word)
{
    size_t length = strlen(word);
    if (length > 2 && strcmp(word + length - 2, "/s") == 0)
        word[length - 2] = '\0';
}

/* VERB SIZE [RATE]; a size with a sign is relative to @now_bytes. */
bool script_amount(const struct step *step, uint64_t now_bytes, uint64_t total_bytes, uint64_t *goal_bytes,
                   uint64_t *rate_bytes)
{
    if (step->n < 2 || step->n > 3)
        return false;
    const char *size = step->words[1];
    char sign = *size == '+' || *size == '-' ? *size++ : '\0';
    uint64_t bytes;
    if (!script_size(size, total_bytes, &bytes))
        return false;
    if (step->n == 3) {
        strip_per_second(step->words[2]);
        if (!script_size(step->words[2], total_bytes, rate_bytes))
            return false;
    }
    if (sign == '+')
        bytes += now_bytes;
    else if (sign == '-')
        bytes = bytes < now_bytes ? now_bytes - bytes : 0;
    *goal_bytes = bytes;
    return true;
}
