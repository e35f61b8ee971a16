/* What `top` knows and what the person at it has chosen: no terminal, no socket. */
#pragma once
#include "cli/view.h"

typedef enum { SORT_NAME, SORT_IN_USE, SORT_AVAILABLE, SORT_BOOKED, SORT_SHORT, SORT_WEIGHT, SORT_N } TopSort;
const char *top_sort_name(TopSort sort);

/* A page over the list: paragraphs, wrapped when they are drawn. */
typedef struct {
    int indent;
    gboolean bold;
    char *text; /* clean */
} TopParagraph;

typedef struct {
    char *title;
    char *raw_name;        /* the server it is about; NULL: the help */
    GPtrArray *paragraphs; /* of TopParagraph */
    int offset;            /* the first line shown */
} TopPage;

typedef struct {
    HostView host;
    GPtrArray *servers;   /* of ServerView, in the order shown */
    GPtrArray *decisions; /* of char*: "HH:MM:SS  sentence", newest first */
    TopSort sort;
    gboolean reverse;
    char *selected; /* raw name; NULL: the first */
    int offset;     /* the first server shown */
    gboolean connected, paused;
    gboolean plain;  /* printed as text: no keys to name */
    gboolean stale;  /* events were lost, or a server has come or gone: the list should be asked for anew */
    int64_t news_us; /* when something was last heard, on the monotonic clock */
    TopPage *page;   /* NULL: the list is shown */
} TopModel;

TopModel *top_model_new(void);
void top_model_free(TopModel *model);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TopModel, top_model_free)

void top_model_set_host(TopModel *model, json_t *host);
void top_model_set_servers(TopModel *model, json_t *servers);
void top_model_set_decisions(TopModel *model, json_t *decisions);
/* One event's params. */
void top_model_apply(TopModel *model, json_t *event, int64_t now_us);

void top_model_sort(TopModel *model);
/* Moves the selection by @rows, stopping at the ends. */
void top_model_move(TopModel *model, int rows);
int top_model_selected(const TopModel *model); /* its index; -1 without servers */
ServerView *top_model_server(const TopModel *model, const char *raw_name);

void top_model_open_help(TopModel *model);
/* @result: the method `explain`'s; or NULL and @problem. */
void top_model_open_explain(TopModel *model, const char *raw_name, json_t *result, const char *problem);
void top_model_close_page(TopModel *model);
