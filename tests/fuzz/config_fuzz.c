/* SPDX-License-Identifier: GPL-2.0-only */
/* config_fuzz.c - any bytes as a configuration; what is accepted must survive
 * being printed and read again. */
#include <stdlib.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *config = NULL, *again = NULL;
	char *mistakes = NULL, *printed = NULL;
	size_t mistakes_size = 0, printed_size = 0;
	FILE *errors = open_memstream(&mistakes, &mistakes_size);
	FILE *out = open_memstream(&printed, &printed_size);
	int err = config_parse("fuzz", (const char *)data, size, errors, &config);

	(void)fflush(errors);
	if ((err != 0) != (mistakes_size > 0))
		abort();
	if (!err) {
		config_print(config, out);
		(void)fflush(out);
		if (config_parse("printed", printed, printed_size, stderr, &again) != 0)
			abort();
	}
	(void)fclose(errors);
	(void)fclose(out);
	free(mistakes);
	free(printed);
	config_free(config);
	config_free(again);
	return 0;
}
