/*
 * Runs a fuzz target without libFuzzer: every file of a corpus as it is, then N mutations of them, the same ones for the
 * same seed. So any compiler replays the corpus as a plain test.
 *
 *   fuzz_NAME CORPUS_FOLDER|FILE [MUTATIONS [SEED]]
 *
 * FUZZ_SECONDS in the environment goes on mutating for so long, from a new seed each time unless one is given.
 *
 * An input that breaks the target is left in the file crash-fuzz_NAME-SEED-NUMBER in the current folder; give that file alone
 * to see it again.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <glib.h>
#include "fuzz.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1 /* clang does not say it gcc's way */
#endif
#endif

#define INPUT_MAX_BYTES 65536
/* Nothing of this size takes a second; ten times that for a loaded machine under sanitizers. */
#define INPUT_SECONDS_MAX 10
#define DEFAULT_SEED      UINT64_C(0x5eed0fae705ad1)

typedef struct {
    const uint8_t *bytes;
    size_t size;
    char crash_file[256];
} Current;

static Current current; /* for the signal handler alone */

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13; /* Marsaglia's xorshift64 */
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static size_t below(uint64_t *state, size_t n)
{
    return n ? (size_t)(next_random(state) % n) : 0;
}

/* Async-signal-safe calls only, from here ... */
static gboolean put(int fd, const void *bytes, size_t size)
{
    return fd >= 0 && write(fd, bytes, size) == (ssize_t)size;
}

static void on_crash(int number)
{
    int fd = open(current.crash_file, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
    const char *result =
        put(fd, current.bytes, current.size) ? "\nthe input is in " : "\nthe input is lost, not in ";
    put(STDERR_FILENO, result, strlen(result));
    put(STDERR_FILENO, current.crash_file, strlen(current.crash_file));
    put(STDERR_FILENO, "\n", 1);
    signal(number, SIG_DFL);
    raise(number);
}
/* ... to here. */

static void catch_crashes(void)
{
    signal(SIGABRT, on_crash);
    signal(SIGALRM, on_crash);
    /* AddressSanitizer has its own handler for these, tells more, and ends in SIGABRT. */
#if !defined(__SANITIZE_ADDRESS__)
    signal(SIGSEGV, on_crash);
    signal(SIGBUS, on_crash);
    signal(SIGFPE, on_crash);
    signal(SIGILL, on_crash);
#endif
}

/* A copy of exactly this size: reading one byte past it is caught. */
static void run(const uint8_t *bytes, size_t size, const char *name, uint64_t seed, guint number)
{
    uint8_t *exact = malloc(size ? size : 1);
    if (!exact)
        abort();
    memcpy(exact, bytes, size);
    current.bytes = exact;
    current.size = size;
    snprintf(current.crash_file, sizeof current.crash_file, "crash-%s-%" PRIx64 "-%u", name, seed, number);
    alarm(INPUT_SECONDS_MAX);
    LLVMFuzzerTestOneInput(exact, size);
    alarm(0);
    current.size = 0;
    free(exact);
}

static void replace(GByteArray *input, size_t at, size_t remove, const uint8_t *insert, size_t insert_size)
{
    g_autofree uint8_t *tail = NULL;
    size_t tail_size = input->len - at - remove;
    if (tail_size)
        tail = g_memdup2(input->data + at + remove, tail_size);
    g_byte_array_set_size(input, (guint)at);
    if (insert_size)
        g_byte_array_append(input, insert, (guint)insert_size);
    if (tail_size)
        g_byte_array_append(input, tail, (guint)tail_size);
}

/* One small change: what people and programs get wrong in text, and bits. */
static void mutate(GByteArray *input, const GByteArray *other, uint64_t *state)
{
    static const uint8_t ODD[] = {0,   1,   0x7f, 0x80, 0xff, '\n', '\r', ' ', '"', '\\',
                                  '%', '-', '.',  '0',  '9',  '[',  ']',  '{', '}', ',',
                                  ';', ':', '=',  '#',  0xc3, 0xe2, 0xed, 0xef};
    size_t at = below(state, input->len + 1), left = input->len - at;
    size_t some = below(state, MIN(left, 16) + 1);
    size_t from = below(state, other->len), piece = below(state, MIN(other->len - from, 64) + 1);
    g_autofree uint8_t *copied = NULL;
    switch (below(state, 6)) {
    case 0:
        if (left)
            input->data[at] ^= (uint8_t)(1U << below(state, 8));
        break;
    case 1:
        replace(input, at, left ? 1 : 0, &ODD[below(state, sizeof ODD)], 1);
        break;
    case 2:
        replace(input, at, 0, &ODD[below(state, sizeof ODD)], 1);
        break;
    case 3:
        replace(input, at, some, NULL, 0);
        break;
    case 4: /* a piece of itself again */
        copied = some ? g_memdup2(input->data + at, some) : NULL;
        replace(input, below(state, input->len + 1), 0, copied, some);
        break;
    default: /* a piece of another */
        replace(input, at, some, other->data + from, piece);
        break;
    }
    if (input->len > INPUT_MAX_BYTES)
        g_byte_array_set_size(input, INPUT_MAX_BYTES);
}

static void add_file(GPtrArray *corpus, const char *path)
{
    char *bytes = NULL;
    gsize size;
    g_autoptr(GError) error = NULL;
    if (!g_file_get_contents(path, &bytes, &size, &error))
        g_error("%s", error->message);
    g_ptr_array_add(corpus, g_byte_array_new_take((guint8 *)bytes, size));
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted, so that a seed means the same on every file system. */
static GPtrArray *read_corpus(const char *path)
{
    GPtrArray *corpus = g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    if (!dir) {
        add_file(corpus, path);
        return corpus;
    }
    for (const char *name = g_dir_read_name(dir); name; name = g_dir_read_name(dir))
        g_ptr_array_add(names, g_build_filename(path, name, NULL));
    g_ptr_array_sort(names, by_name);
    for (guint i = 0; i < names->len; i++)
        add_file(corpus, names->pdata[i]);
    return corpus;
}

static void run_mutation(const GPtrArray *corpus, uint64_t *state, const char *name, uint64_t seed,
                         guint number)
{
    const GByteArray *base = corpus->pdata[below(state, corpus->len)];
    const GByteArray *other = corpus->pdata[below(state, corpus->len)];
    g_autoptr(GByteArray) input = g_byte_array_sized_new(base->len + 1);
    if (base->len)
        g_byte_array_append(input, base->data, base->len);
    for (size_t n = 1 + below(state, 6); n > 0; n--)
        mutate(input, other, state);
    run(input->data, input->len, name, seed, number);
}

/* 0 when it is not asked for. */
static gint64 end_of_fuzzing_us(void)
{
    const char *seconds = g_getenv("FUZZ_SECONDS");
    guint64 value = seconds ? g_ascii_strtoull(seconds, NULL, 10) : 0;
    return value ? g_get_monotonic_time() + (gint64)MIN(value, 1000000) * G_USEC_PER_SEC : 0;
}

static uint64_t choose_seed(const char *given, gboolean fresh)
{
    uint64_t seed = DEFAULT_SEED;
    if (given)
        seed = g_ascii_strtoull(given, NULL, 0);
    else if (fresh)
        seed = (uint64_t)g_random_int() << 32 | g_random_int();
    return seed ? seed : 1; /* xorshift never leaves 0 */
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s CORPUS_FOLDER|FILE [MUTATIONS [SEED]]\n", argv[0]);
        return 2;
    }
    g_autofree char *name = g_path_get_basename(argv[0]);
    guint mutations = argc > 2 ? (guint)g_ascii_strtoull(argv[2], NULL, 10) : 0;
    gint64 end_us = mutations ? end_of_fuzzing_us() : 0;
    uint64_t seed = choose_seed(argc > 3 ? argv[3] : NULL, end_us != 0), state = seed;
    g_autoptr(GPtrArray) corpus = read_corpus(argv[1]);
    if (corpus->len == 0) {
        fprintf(stderr, "%s: no seeds in %s\n", name, argv[1]);
        return 1;
    }
    printf("%s: %u seeds, at least %u mutations, seed 0x%" PRIx64 "\n", name, corpus->len, mutations, seed);
    fflush(stdout);
    catch_crashes();
    for (guint i = 0; i < corpus->len; i++) {
        const GByteArray *input = corpus->pdata[i];
        run(input->data, input->len, name, seed, i);
    }
    guint done = 0;
    for (; done < mutations || g_get_monotonic_time() < end_us; done++)
        run_mutation(corpus, &state, name, seed, corpus->len + done);
    printf("%s: %u mutations, nothing found\n", name, done);
    return 0;
}
