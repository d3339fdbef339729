/* SPDX-License-Identifier: GPL-2.0-only */
#include "util/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static enum log_level log_threshold = LOG_LEVEL_INFO;

void log_level_set(enum log_level level)
{
	log_threshold = level;
}

/* systemd.exec(5): the journal's end of this stderr has that device and inode. A child
 * whose stderr was redirected inherits the variable all the same. */
static bool is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat status;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       !fstat(STDERR_FILENO, &status) && status.st_dev == device && status.st_ino == inode;
}

void log_line(enum log_level level, const char *format, ...)
{
	/* sd-daemon(3): <3> error, <4> warning, <6> info, <7> debug */
	static const struct {
		const char *journal, *terminal;
	} prefixes[] = {
		[LOG_LEVEL_ERROR] = { "<3>", "error: " },
		[LOG_LEVEL_WARN] = { "<4>", "warning: " },
		[LOG_LEVEL_INFO] = { "<6>", "" },
		[LOG_LEVEL_DEBUG] = { "<7>", "debug: " },
	};
	char text[1024];
	va_list args;

	if (level > log_threshold)
		return;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	(void)fprintf(stderr, "%s%s\n",
		      is_journal() ? prefixes[level].journal : prefixes[level].terminal, text);
}
