/* SPDX-License-Identifier: GPL-2.0-only */
/* log.h - lines for people, to stderr; with the priority prefix that the journal
 * understands when stderr is the journal. Never on the packet path. */
#ifndef RINGWAY_UTIL_LOG_H
#define RINGWAY_UTIL_LOG_H

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

void log_level_set(enum log_level level); /* default: LOG_LEVEL_INFO */

/* What failed, which object, why, what happens next. No newline at the end. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
