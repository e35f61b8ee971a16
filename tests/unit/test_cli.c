/* The command line without a daemon: figures, names that bite, tables, options, and the picture of `top`. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/size.h"
#include "cli/cli.h"
#include "cli/frame.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/top_draw.h"
#include "cli/top_model.h"
#include "cli/view.h"

/* --- text --- */

static void test_clean(void)
{
    static const struct {
        const char *raw, *utf8, *ascii;
    } rows[] = {
        {"web-1", "web-1", "web-1"},
        {"", "", ""},
        {"a\x1b[2Jb", "a\\x1b[2Jb", "a\\x1b[2Jb"},
        {"a\nb\tc\r", "a\\x0ab\\x09c\\x0d", "a\\x0ab\\x09c\\x0d"},
        {"\x7f", "\\x7f", "\\x7f"},
        {"\xc2\x9b"
         "31m",
         "\\x9b31m", "\\x9b31m"}, /* a C1 control: CSI in one character */
        {"a\xe2\x80\xae"
         "b",
         "a\\u202eb", "a\\u202eb"}, /* right-to-left override */
        {"a\xe2\x80\x8b"
         "b",
         "a\\u200bb", "a\\u200bb"}, /* zero-width space */
        {"a\xe2\x80\xa8"
         "b",
         "a\\u2028b", "a\\u2028b"}, /* line separator */
        {"\xff"
         "a\xc3",
         "\\xffa\\xc3", "\\xffa\\xc3"}, /* broken UTF-8 */
        {"b\xc3\xbcro", "b\xc3\xbcro", "b\\u00fcro"},
        {"\xf0\x9f\x90\x99", "\xf0\x9f\x90\x99", "\\U01f419"},
        {"1 \xe2\x80\x93 2\xe2\x80\xa6", "1 \xe2\x80\x93 2\xe2\x80\xa6", "1 - 2..."},
        {NULL, "\xe2\x80\x93", "-"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        text_set_utf8(TRUE);
        g_autofree char *utf8 = text_clean(rows[i].raw);
        text_set_utf8(FALSE);
        g_autofree char *ascii = text_clean(rows[i].raw);
        text_set_utf8(TRUE);
        g_assert_cmpstr(utf8, ==, rows[i].utf8);
        g_assert_cmpstr(ascii, ==, rows[i].ascii);
    }
}

/* No byte string makes anything but printable characters. */
static void test_clean_any(void)
{
    for (int round = 0; round < 20000; round++) {
        char raw[16];
        int length = g_test_rand_int_range(0, sizeof raw);
        for (int i = 0; i < length; i++)
            raw[i] = (char)g_test_rand_int_range(1, 256);
        raw[length] = '\0';
        text_set_utf8(round % 2 == 0);
        g_autofree char *clean = text_clean(raw);
        g_assert_true(g_utf8_validate(clean, -1, NULL));
        for (const char *p = clean; *p != '\0'; p = g_utf8_next_char(p)) {
            gunichar c = g_utf8_get_char(p);
            g_assert_true(g_unichar_isprint(c) || g_unichar_ismark(c));
            g_assert_true(text_is_utf8() || c < 0x80);
        }
    }
    text_set_utf8(TRUE);
}

static void test_width(void)
{
    g_assert_cmpint(text_width(""), ==, 0);
    g_assert_cmpint(text_width("web"), ==, 3);
    g_assert_cmpint(text_width("b\xc3\xbcro"), ==, 4);
    g_assert_cmpint(text_width("\xe6\x9d\xb1\xe4\xba\xac"), ==, 4); /* Tokyo, two wide ones */
    g_assert_cmpint(text_width("e\xcc\x81"), ==, 1);                /* combining accent */
    g_assert_cmpint(text_width("\xf0\x9f\x90\x99"), ==, 2);         /* an octopus */
}

static void test_fit(void)
{
    static const struct {
        const char *text;
        int columns;
        const char *fitted;
    } rows[] = {
        {"abcdef", 6, "abcdef"},
        {"abcdef", 5, "abcd\xe2\x80\xa6"},
        {"abcdef", 1, "a"},
        {"abcdef", 0, ""},
        {"\xe6\x9d\xb1\xe4\xba\xac", 4, "\xe6\x9d\xb1\xe4\xba\xac"},
        {"\xe6\x9d\xb1\xe4\xba\xac", 3, "\xe6\x9d\xb1\xe2\x80\xa6"}, /* never half a wide one */
        {"\xe6\x9d\xb1\xe4\xba\xac", 2, "\xe2\x80\xa6"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *fitted = text_fit(rows[i].text, rows[i].columns);
        g_assert_cmpstr(fitted, ==, rows[i].fitted);
    }
    g_autofree char *left = text_pad("ab", 4, FALSE), *right = text_pad("ab", 4, TRUE);
    g_assert_cmpstr(left, ==, "ab  ");
    g_assert_cmpstr(right, ==, "  ab");
}

static void check_wrap(const char *text, int columns, const char *expected)
{
    g_autoptr(GPtrArray) lines = text_wrap(text, columns);
    g_ptr_array_add(lines, NULL);
    g_autofree char *joined = g_strjoinv("/", (char **)lines->pdata);
    g_assert_cmpstr(joined, ==, expected);
}

static void test_wrap(void)
{
    check_wrap("", 10, "");
    check_wrap("one two three", 20, "one two three");
    check_wrap("one two three", 7, "one two/three");
    check_wrap("one two three", 8, "one two/three");
    check_wrap("one two three", 5, "one/two/three");
    check_wrap("abcdefgh ij", 3, "abc/def/gh/ij");
    check_wrap("\xe6\x9d\xb1\xe4\xba\xac", 1, "\xe6\x9d\xb1/\xe4\xba\xac");
}

static void test_figures(void)
{
    static const struct {
        uint64_t us;
        const char *text;
    } durations[] = {
        {0, "0 s"},
        {412, "412 \xc2\xb5s"},
        {120000, "120 ms"},
        {3450000, "3.4 s"},
        {125000000, "2 min 5 s"},
        {UINT64_C(15120000000), "4 h 12 min"},
        {UINT64_C(273930000000), "3 d 4 h"},
        {UNKNOWN_FACT, "\xe2\x80\x93"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(durations); i++) {
        g_autofree char *text = text_duration(durations[i].us);
        g_assert_cmpstr(text, ==, durations[i].text);
    }
    g_autofree char *none = text_bytes(UNKNOWN_FACT), *zero = text_bytes(0), *some = text_bytes(1536 * MIB);
    g_assert_cmpstr(none, ==, "\xe2\x80\x93"); /* unknown is not nothing */
    g_assert_cmpstr(zero, ==, "0 B");
    g_assert_cmpstr(some, ==, "1.5 GiB");
    g_autofree char *small = text_count(9999), *large = text_count(1234567);
    g_assert_cmpstr(small, ==, "9999");
    g_assert_cmpstr(large, ==, "1 234 567");
    g_autofree char *time = text_time(INT64_C(1767225603000000), FALSE);
    g_assert_cmpstr(time, ==, "2026-01-01 00:00:03");
    g_autofree char *never = text_time(G_MAXINT64, FALSE);
    g_assert_cmpstr(never, ==, "\xe2\x80\x93");
}

/* --- tables --- */

static Table *make_table(void)
{
    Table *table = table_new();
    table_column(table, "Name", FALSE, 0);
    table_column(table, "Kind", FALSE, 2);
    table_column(table, "Size", TRUE, 0);
    table_column(table, "Why", FALSE, 0);
    static const char *const cells[] = {"a",
                                        "kvm",
                                        "12 MiB",
                                        "on",
                                        "\xe6\x9d\xb1\xe4\xba\xac",
                                        "lxc",
                                        "1 GiB",
                                        "short of 300 MiB and resting"};
    for (gsize i = 0; i < G_N_ELEMENTS(cells); i++)
        table_cell(table, g_strdup(cells[i]), i == 7 ? TONE_BAD : TONE_PLAIN);
    return table;
}

static char *print_table(int width, gboolean colour, char **ret_dropped)
{
    g_autoptr(Table) table = make_table();
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    char *dropped = table_print(table, out, width, colour);
    fclose(out);
    if (ret_dropped != NULL)
        *ret_dropped = dropped;
    else
        g_free(dropped);
    return text;
}

static void test_table(void)
{
    g_autofree char *dropped = NULL;
    char *wide = print_table(0, FALSE, &dropped);
    g_assert_cmpstr(wide, ==,
                    "Name  Kind    Size  Why\n"
                    "a     kvm   12 MiB  on\n"
                    "\xe6\x9d\xb1\xe4\xba\xac  lxc    1 GiB  short of 300 MiB and resting\n");
    g_assert_null(dropped);
    free(wide);

    char *narrow = print_table(30, FALSE, &dropped);
    g_assert_cmpstr(narrow, ==,
                    "Name    Size  Why\n"
                    "a     12 MiB  on\n"
                    "\xe6\x9d\xb1\xe4\xba\xac   1 GiB  short of 300 Mi\xe2\x80\xa6\n");
    g_assert_cmpstr(dropped, ==, "Kind");
    free(narrow);

    char *coloured = print_table(0, TRUE, NULL);
    g_assert_nonnull(strstr(coloured, "\033[1;31mshort of 300 MiB and resting\033[0m\n"));
    free(coloured);
}

/* --- options --- */

typedef struct {
    Cli cli;
    gboolean parsed;
    char *complaint;
} Parsed;

static Parsed parse(const char *line)
{
    Parsed result = {0};
    size_t size;
    FILE *err = open_memstream(&result.complaint, &size);
    g_auto(GStrv) words = g_strsplit(line, " ", 0);
    /* Operands point into the words, which must outlive them. */
    static char *kept[32];
    int n = 0;
    for (; words[n] != NULL; n++)
        kept[n] = (char *)g_intern_string(words[n]);
    kept[n] = NULL;
    cli_init(&result.cli, stdout, err);
    result.parsed = cli_parse(&result.cli, n, kept);
    fclose(err);
    result.cli.err = stderr;
    return result;
}

static void parsed_clear(Parsed *parsed)
{
    cli_clear(&parsed->cli);
    free(parsed->complaint);
}

static void test_options(void)
{
    static const char *const same[] = {
        "aerostat --socket /x --json set web-1 --minimum 512M --weight 200",
        "aerostat set --socket=/x web-1 --minimum=512M -w 200 -j",
        "aerostat -s /x set -m512M -w200 -- web-1 --json",
        "aerostat set web-1 -w 200 -m 512M --json -s/x",
    };
    for (gsize i = 0; i < G_N_ELEMENTS(same); i++) {
        Parsed parsed = parse(same[i]);
        gboolean after_dashes = i == 2; /* there --json is one operand too many */
        g_assert_true(parsed.parsed == !after_dashes);
        g_assert_true(parsed.cli.verb == &verb_set);
        g_assert_cmpstr(parsed.cli.socket_path, ==, "/x");
        g_assert_cmpstr(cli_operand(&parsed.cli, 0), ==, "web-1");
        g_assert_cmpstr(cli_value(&parsed.cli, "minimum"), ==, "512M");
        g_assert_cmpstr(cli_value(&parsed.cli, "weight"), ==, "200");
        g_assert_true(parsed.cli.json == !after_dashes);
        parsed_clear(&parsed);
    }
    Parsed dashed = parse("aerostat show -- --odd-name");
    g_assert_true(dashed.parsed);
    g_assert_cmpstr(cli_operand(&dashed.cli, 0), ==, "--odd-name");
    parsed_clear(&dashed);
    Parsed help = parse("aerostat show --help"); /* needs no operand then */
    g_assert_true(help.parsed && help.cli.help);
    parsed_clear(&help);
    Parsed word = parse("aerostat help events");
    g_assert_true(word.parsed && word.cli.help && word.cli.verb == &verb_events);
    parsed_clear(&word);
}

static void test_bad_options(void)
{
    static const struct {
        const char *line, *says;
    } rows[] = {
        {"aerostat", "which command?"},
        {"aerostat lsit", "did you mean \"list\"?"},
        {"aerostat xyzzy", "aerostat --help"},
        {"aerostat list --jsno", "did you mean --json?"},
        {"aerostat set web-1 --minimun 5M", "did you mean --minimum?"},
        {"aerostat --minimum 5M set web-1", "no command \"5M\""},
        {"aerostat list -x", "unknown option -x"},
        {"aerostat list web-1", "too many words: \"web-1\""},
        {"aerostat show", "show needs more; usage: aerostat show SERVER"},
        {"aerostat show a b", "too many words: \"b\""},
        {"aerostat status --socket", "--socket needs a value"},
        {"aerostat status --json=yes", "--json takes no value"},
        {"aerostat set a --weight 1 --weight 2", "--weight is given twice"},
        {"aerostat st\x1b[2Jatus", "\\x1b[2J"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        Parsed parsed = parse(rows[i].line);
        g_test_message("%s", rows[i].says);
        g_assert_false(parsed.parsed);
        g_assert_true(g_str_has_prefix(parsed.complaint, "aerostat: "));
        g_assert_nonnull(strstr(parsed.complaint, rows[i].says));
        g_assert_null(strchr(parsed.complaint, '\033'));
        parsed_clear(&parsed);
    }
}

/* --- servers and hosts --- */

static json_t *server_of(const char *name, uint64_t booked, uint64_t available, uint64_t in_use)
{
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:i, s:{s:s, s:b, s:n}, s:I}", "name", name, "kind",
                     "kvm", "state", available == UNKNOWN_FACT ? "starting" : "running", "maximum_bytes",
                     json_bytes(booked), "balloon_bytes", json_bytes_or_null(available), "used_bytes",
                     json_bytes_or_null(in_use), "target_bytes", json_bytes_or_null(available), "weight", 100,
                     "ballooning", "state", "on", "available", 1, "reason", "short_bytes", (json_int_t)0);
}

static void test_views(void)
{
    g_autoptr(json_t) nothing = json_object();
    g_autoptr(ServerView) empty = server_view_new(nothing);
    g_assert_cmpstr(empty->name, ==, "\xe2\x80\x93");
    g_assert_true(empty->booked == UNKNOWN_FACT && empty->in_use == UNKNOWN_FACT);

    g_autoptr(json_t) odd = json_pack("{s:s, s:i, s:f, s:s}", "name", "a\x1b", "maximum_bytes", -5,
                                      "used_bytes", 1.5, "balloon_bytes", "large");
    g_autoptr(ServerView) view = server_view_new(odd);
    g_assert_cmpstr(view->name, ==, "a\\x1b");
    g_assert_true(view->booked == UNKNOWN_FACT && view->in_use == UNKNOWN_FACT &&
                  view->available == UNKNOWN_FACT);

    g_autoptr(json_t) fixed =
        json_pack("{s:s, s:{s:s, s:s}, s:s, s:I}", "fixed", "hugepages", "ballooning", "state", "unavailable",
                  "reason", "hugepages", "hold", "rebooting", "short_bytes", (json_int_t)(5 * MIB));
    g_autoptr(ServerView) held = server_view_new(fixed);
    g_assert_cmpstr(held->ballooning, ==, "unavailable: hugepages, rebooting, short of 5 MiB");
    g_assert_true(held->is_fixed && held->is_held);
}

static void test_headlines(void)
{
    static const char *const states[] = {"ok",           "overcommitted", "infeasible",
                                         "disconnected", "starting",      "new-one"};
    static const char *const words[] = {
        "Ok: ", "Overcommitted: ", "Infeasible: ", "Disconnected: ", "Starting: ", "\"new-one\""};
    for (gsize i = 0; i < G_N_ELEMENTS(states); i++) {
        g_autoptr(json_t) host = json_pack("{s:s, s:i}", "state", states[i], "over_bytes", 0);
        g_auto(HostView) view;
        host_view_init(&view, host);
        Tone tone;
        g_autofree char *headline = host_headline(&view, &tone);
        g_assert_nonnull(strstr(headline, words[i]));
        g_assert_true((tone == TONE_GOOD) == (i == 0));
    }
}

static void check_bar(int n, uint64_t used, uint64_t held, uint64_t whole, uint64_t tick,
                      const char *expected)
{
    g_autofree char *bar = bar_text(n, used, held, whole, tick);
    g_assert_cmpstr(bar, ==, expected);
}

static void test_bars(void)
{
    text_set_utf8(FALSE);
    check_bar(10, 30, 60, 100, UNKNOWN_FACT, "###===....");
    check_bar(10, 30, 60, 100, 50, "###=|=....");
    check_bar(10, 1, 60, 100, UNKNOWN_FACT, "#=====....");  /* a little is something */
    check_bar(10, 99, 99, 100, UNKNOWN_FACT, "#########."); /* nearly all is not all */
    check_bar(10, 100, 100, 100, 100, "#########|");
    check_bar(10, 300, 400, 100, 900, "#########|");
    check_bar(10, UNKNOWN_FACT, 50, 100, UNKNOWN_FACT, "=====.....");
    check_bar(10, UNKNOWN_FACT, UNKNOWN_FACT, UNKNOWN_FACT, UNKNOWN_FACT, "..........");
    check_bar(1, 1, 1, 100, 1, "|");
    check_bar(0, 1, 1, 1, 1, "");
    check_bar(-3, 1, 1, 1, 1, "");
    check_bar(4, UINT64_MAX - 1, UINT64_MAX - 1, UINT64_MAX - 1, UNKNOWN_FACT, "####");
    text_set_utf8(TRUE);
}

/* --- top --- */

static TopModel *make_model(int n)
{
    TopModel *model = top_model_new();
    g_autoptr(json_t) host = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:i}", "mode", "manage", "state",
                                       "ok", "pool_bytes", (json_int_t)(16 * GIB), "committed_bytes",
                                       (json_int_t)(12 * GIB), "slack_bytes", (json_int_t)GIB, "free_bytes",
                                       (json_int_t)(4 * GIB), "over_bytes", (json_int_t)0, "servers", n);
    g_autoptr(json_t) servers = json_array();
    for (int i = 0; i < n; i++) {
        g_autofree char *name = g_strdup_printf("vm-%03d", i);
        json_array_append_new(servers,
                              server_of(name, 4 * GIB, i == 3 ? UNKNOWN_FACT : (uint64_t)(1 + i % 4) * GIB,
                                        i == 3 ? UNKNOWN_FACT : (uint64_t)(i + 1) * 4 * MIB));
    }
    top_model_set_host(model, host);
    top_model_set_servers(model, servers);
    model->connected = TRUE;
    return model;
}

static const char *name_at(const TopModel *model, guint i)
{
    return ((ServerView *)g_ptr_array_index(model->servers, i))->name;
}

static void test_top_sort(void)
{
    g_autoptr(TopModel) model = make_model(8);
    g_assert_cmpstr(name_at(model, 0), ==, "vm-000");
    model->sort = SORT_IN_USE;
    top_model_sort(model);
    g_assert_cmpstr(name_at(model, 0), ==, "vm-007");
    g_assert_cmpstr(name_at(model, 7), ==, "vm-003"); /* unknown goes last ... */
    model->reverse = TRUE;
    top_model_sort(model);
    g_assert_cmpstr(name_at(model, 0), ==, "vm-000");
    g_assert_cmpstr(name_at(model, 7), ==, "vm-003"); /* ... either way */
    for (int sort = 0; sort < SORT_N; sort++) {
        model->sort = (TopSort)sort;
        top_model_sort(model);
        g_assert_nonnull(top_sort_name(model->sort));
    }
}

static void test_top_events(void)
{
    g_autoptr(TopModel) model = make_model(3);
    g_autoptr(json_t) changed =
        json_pack("{s:s, s:o}", "type", "server", "data", server_of("vm-001", 4 * GIB, 3 * GIB, 2 * GIB));
    top_model_apply(model, changed, 1);
    g_assert_cmpuint(model->servers->len, ==, 3);
    g_assert_true(top_model_server(model, "vm-001")->in_use == 2 * GIB);
    g_autoptr(json_t) born =
        json_pack("{s:s, s:o}", "type", "server", "data", server_of("new", 4 * GIB, 3 * GIB, 2 * GIB));
    top_model_apply(model, born, 2);
    g_assert_cmpuint(model->servers->len, ==, 4);
    g_assert_false(model->stale);
    g_autoptr(json_t) host = json_pack("{s:s, s:{s:i}}", "type", "host", "data", "servers", 3);
    top_model_apply(model, host, 3); /* one has gone: the list is to be asked for */
    g_assert_true(model->stale);

    for (int i = 0; i < 200; i++) {
        g_autoptr(json_t) decision =
            json_pack("{s:s, s:{s:s, s:I, s:b, s:n}}", "type", "decision", "data", "text",
                      "vm-1 gets \x1b[31m", "time_us", (json_int_t)0, "performed", 0, "error");
        top_model_apply(model, decision, 4);
    }
    g_assert_cmpuint(model->decisions->len, ==, 50);
    g_assert_true(g_str_has_suffix(g_ptr_array_index(model->decisions, 0), "\\x1b[31m (only decided)"));

    static const char *const odd[] = {"{}",
                                      "{\"type\":5}",
                                      "{\"type\":\"server\"}",
                                      "{\"type\":\"host\",\"data\":[]}",
                                      "{\"type\":\"decision\",\"data\":null}",
                                      "{\"type\":\"lost\",\"data\":7}"};
    for (gsize i = 0; i < G_N_ELEMENTS(odd); i++) {
        g_autoptr(json_t) event = json_loads(odd[i], 0, NULL);
        top_model_apply(model, event, 5);
    }
    model->paused = TRUE;
    g_autoptr(json_t) late = json_pack("{s:s, s:o}", "type", "server", "data", server_of("late", 1, 1, 1));
    top_model_apply(model, late, 6);
    g_assert_null(top_model_server(model, "late"));
}

static void test_top_select(void)
{
    g_autoptr(TopModel) model = make_model(200);
    g_autoptr(Frame) frame = frame_new(80, 24);
    top_model_move(model, 150);
    top_draw(model, frame, 0);
    g_assert_cmpint(top_model_selected(model), ==, 150);
    g_autofree char *text = frame_text(frame);
    g_assert_nonnull(strstr(text, "vm-150"));
    g_assert_null(strstr(text, "vm-000"));
    g_assert_nonnull(strstr(text, "of 200"));
    top_model_move(model, 1000);
    g_assert_cmpint(top_model_selected(model), ==, 199);
    top_model_move(model, -1000);
    g_assert_cmpint(top_model_selected(model), ==, 0);
    top_draw(model, frame, 0);
    g_assert_cmpint(model->offset, ==, 0);
}

static void open_some_page(TopModel *model, int which)
{
    g_autoptr(json_t) result =
        json_pack("{s:s, s:[s, s], s:[{s:s}]}", "summary", "It has a little.", "sentences",
                  "One thing is long enough to be wrapped on a narrow terminal.", "Another.", "decisions",
                  "text", "gave 5 MiB");
    if (which == 1)
        top_model_open_help(model);
    else if (which == 2)
        top_model_open_explain(model, "vm-000", result, NULL);
    else if (which == 3)
        top_model_open_explain(model, "gone", NULL, "server gone: there is none");
    else
        top_model_close_page(model);
}

/* Every size and every state is drawn, within its bounds (the sanitizers watch). */
static void test_top_sizes(void)
{
    for (int n = 0; n <= 30; n += 15) {
        g_autoptr(TopModel) model = make_model(n);
        for (int which = 0; which < 4; which++) {
            open_some_page(model, which);
            for (int width = 1; width <= 260; width += width < 60 ? 1 : 23)
                for (int height = 1; height <= 60; height += 7) {
                    g_autoptr(Frame) frame = frame_new(width, height);
                    model->connected = height % 2 == 0;
                    model->paused = width % 2 == 0;
                    top_draw(model, frame, 10 * G_USEC_PER_SEC);
                    g_assert_cmpint(frame->width * frame->height, ==, width * height);
                }
        }
    }
}

static void test_top_states(void)
{
    g_autoptr(TopModel) model = make_model(2);
    g_autoptr(Frame) frame = frame_new(100, 24);
    model->news_us = G_USEC_PER_SEC;
    top_draw(model, frame, 6 * G_USEC_PER_SEC);
    g_autofree char *silent = frame_text(frame);
    g_assert_nonnull(strstr(silent, "no news for 5 s"));
    model->connected = FALSE;
    g_autoptr(Frame) again = frame_new(100, 24);
    top_draw(model, again, 0);
    g_autofree char *away = frame_text(again);
    g_assert_nonnull(strstr(away, "reconnecting"));
    g_assert_nonnull(strstr(away, LABEL_AVAILABLE));
    g_assert_nonnull(strstr(away, LABEL_IN_USE));
    g_assert_nonnull(strstr(away, LABEL_BOOKED));
}

/* Printed as text, nothing scrolls, whatever the width. */
static void test_top_height(void)
{
    for (int n = 0; n < 60; n += 3)
        for (int width = 40; width <= 160; width += 40) {
            g_autoptr(TopModel) model = make_model(n);
            model->plain = TRUE;
            g_autoptr(Frame) frame = frame_new(width, top_draw_height(model, width));
            top_draw(model, frame, 0);
            g_autofree char *text = frame_text(frame);
            for (int i = 0; i < n; i++) {
                g_autofree char *name = g_strdup_printf("vm-%03d", i);
                g_assert_nonnull(strstr(text, name));
            }
        }
}

static void test_frame(void)
{
    g_autoptr(Frame) frame = frame_new(6, 2);
    g_assert_cmpint(frame_put(frame, 0, 0, 6, STYLE_PLAIN,
                              "\xe6\x9d\xb1"
                              "abcdef"),
                    ==, 6);
    g_assert_cmpint(frame_put(frame, 3, 1, 99, STYLE_PLAIN, "xyzzy"), ==, 6);
    frame_put(frame, 0, 7, 9, STYLE_PLAIN, "outside");
    g_autofree char *text = frame_text(frame);
    g_assert_cmpstr(text, ==,
                    "\xe6\x9d\xb1"
                    "abc\xe2\x80\xa6\n   xy\xe2\x80\xa6\n");
}

int main(int argc, char **argv)
{
    g_setenv("TZ", "UTC", TRUE);
    g_unsetenv("AEROSTAT_SOCKET");
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cli/clean", test_clean);
    g_test_add_func("/cli/clean-any", test_clean_any);
    g_test_add_func("/cli/width", test_width);
    g_test_add_func("/cli/fit", test_fit);
    g_test_add_func("/cli/wrap", test_wrap);
    g_test_add_func("/cli/figures", test_figures);
    g_test_add_func("/cli/table", test_table);
    g_test_add_func("/cli/options", test_options);
    g_test_add_func("/cli/bad-options", test_bad_options);
    g_test_add_func("/cli/views", test_views);
    g_test_add_func("/cli/headlines", test_headlines);
    g_test_add_func("/cli/bars", test_bars);
    g_test_add_func("/cli/frame", test_frame);
    g_test_add_func("/cli/top/sort", test_top_sort);
    g_test_add_func("/cli/top/events", test_top_events);
    g_test_add_func("/cli/top/select", test_top_select);
    g_test_add_func("/cli/top/sizes", test_top_sizes);
    g_test_add_func("/cli/top/states", test_top_states);
    g_test_add_func("/cli/top/height", test_top_height);
    return g_test_run();
}
