/* Explain: why a server holds what it holds, who has the rest, and when it is back, in sentences for people. */
#pragma once
#include "engine/engine.h"

/* explain_lent: what @to holds of @from's memory now: by the flows, but never more than @from is missing. */
uint64_t explain_lent(Engine *engine, const Tracked *from, const Tracked *to);
/* explain_summary: (transfer full) one sentence. */
char *explain_summary(Engine *engine, const Tracked *tracked);
/* explain_sentences: (transfer full) (element-type utf8): the whole answer, most important first. @names: FALSE leaves out
 * what other servers are called and what each has: their owners' business. */
GPtrArray *explain_sentences(Engine *engine, const Tracked *tracked, gboolean names);
/* explain_problems: (transfer full) (element-type utf8): what is wrong on this host and what would mend it; may be empty. */
GPtrArray *explain_problems(Engine *engine);
