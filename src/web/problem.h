/* Problem: errors as RFC 9457 problem documents, and nothing else that a client could mistake for an answer. */
#pragma once
#include <glib.h>
#include <jansson.h>

/*
 * web_problem:
 * @status:   HTTP status
 * @kind:     a word that programs may rely on ("not-found"); part of the document's type
 * @detail:   one sentence for people: what is wrong, and what would be right
 * @instance: (nullable): the path that was asked
 * @more:     (nullable): an object whose other members (missing bytes, ...) join the document; borrowed
 * Returns: (transfer full): the document's text.
 */
GBytes *web_problem(int status, const char *kind, const char *detail, const char *instance, json_t *more);

/* web_reason: the words that belong to a status ("Not Found"); "Error" for one we do not send. */
const char *web_reason(int status);
