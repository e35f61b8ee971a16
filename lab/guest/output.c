/* Lines to the host: never blocks, keeps events while nobody listens, and drops reports rather than delay them. */
#define _GNU_SOURCE
#include "lab.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int port = -1;
static char queue[65536];
static size_t queued;

void output_open(int fd)
{
    port = fd;
}

int output_fd(void)
{
    return port;
}

bool output_idle(void)
{
    return queued == 0;
}

void output_flush(void)
{
    while (queued > 0) {
        ssize_t sent = write(port, queue, queued < 4096 ? queued : 4096);
        if (sent <= 0)
            return;
        queued -= (size_t)sent;
        memmove(queue, queue + sent, queued);
    }
}

void output_line(const char *line)
{
    size_t length = strlen(line);
    if (length <= sizeof queue - queued) {
        memcpy(queue + queued, line, length);
        queued += length;
    }
    output_flush();
}

/* @format: the object's further members, without the braces. */
void output_event(const char *format, ...)
{
    char line[LINE_BYTES], members[LINE_BYTES - 128];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(members, sizeof members, format, arguments);
    va_end(arguments);
    snprintf(line, sizeof line, "{\"type\":%s}\n", members);
    output_line(line);
}

/* JSON's escapes, ASCII only: anything else becomes a question mark. */
void output_quote(char *to, size_t size, const char *from)
{
    size_t used = 0;
    for (; *from != '\0' && used + 3 < size; from++) {
        if (*from == '"' || *from == '\\')
            to[used++] = '\\';
        to[used++] = *from >= ' ' && *from <= '~' ? *from : '?';
    }
    to[used] = '\0';
}
