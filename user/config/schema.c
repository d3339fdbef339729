/* SPDX-License-Identifier: GPL-2.0-only */
/* schema.c - a YAML file into a struct, by a table; every mistake kept.
 *
 * Recursion goes as deep as the tables do, never as deep as the file does. An
 * anchor may be used any number of times: what is bounded is the number of nodes
 * looked at, each use counted. */
#include "config/schema.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* Nodes looked at: three times what the largest configuration needs. */
#define VISIT_COUNT_MAX (1 << 18)

/* More than anybody reads; bounds the memory that a hopeless file takes. */
#define MISTAKE_COUNT_MAX 1000

/* libyaml's scanner goes through all open brackets at each token, and its loader
 * through all anchors at each alias: more of them would take minutes. */
#define BRACKET_DEPTH_MAX 64
#define ANCHOR_COUNT_MAX  1024
#define ALIAS_COUNT_MAX	  65536

/* libyaml is looked after between two pieces of the text. */
#define PIECE_SIZE_BYTES 1024

struct mistake {
	unsigned int line;
	size_t order; /* of being found */
	const void *about;
	char text[2 * SCHEMA_TEXT_SIZE];
};

struct schema_reader {
	yaml_document_t document;
	bool has_document;
	yaml_node_t *root; /* NULL: nothing to read */
	size_t visits_left;
	bool is_exhausted; /* more would have been needed, and that has been said */
	struct mistake *mistakes;
	size_t mistake_count, mistake_capacity;
	size_t unlisted_count;
	bool out_of_memory;
};

/* Text of the file, fit for one line of a message. */
struct excerpt {
	char text[48];
};

static struct excerpt excerpt_of(const char *text, size_t len)
{
	const size_t shown_max = 40;
	struct excerpt excerpt;
	size_t shown = len < shown_max ? len : shown_max;

	for (size_t i = 0; i < shown; i++)
		excerpt.text[i] = (text[i] >= ' ' && text[i] <= '~') ? text[i] : '?';
	strcpy(excerpt.text + shown, len > shown_max ? "..." : "");
	return excerpt;
}

static struct excerpt excerpt_of_node(const yaml_node_t *node)
{
	assert(node->type == YAML_SCALAR_NODE);
	return excerpt_of((const char *)node->data.scalar.value, node->data.scalar.length);
}

static unsigned int line_of(const yaml_node_t *node)
{
	return (unsigned int)node->start_mark.line + 1;
}

/* A place for one more mistake, or NULL. */
static struct mistake *mistake_new(struct schema_reader *reader)
{
	size_t capacity = reader->mistake_capacity ? 2 * reader->mistake_capacity : 16;
	struct mistake *grown;

	if (reader->mistake_count == MISTAKE_COUNT_MAX) {
		reader->unlisted_count++;
		return NULL;
	}
	if (reader->mistake_count == reader->mistake_capacity) {
		grown = reallocarray(reader->mistakes, capacity, sizeof(*grown));
		if (!grown) {
			reader->out_of_memory = true;
			return NULL;
		}
		reader->mistakes = grown;
		reader->mistake_capacity = capacity;
	}
	return &reader->mistakes[reader->mistake_count++];
}

void schema_mistake(struct schema_reader *reader, unsigned int line, const void *about,
		    const char *format, ...)
{
	struct mistake *mistake = mistake_new(reader);
	va_list args;

	if (!mistake)
		return;
	mistake->line = line;
	mistake->order = reader->mistake_count;
	mistake->about = about;
	va_start(args, format);
	(void)vsnprintf(mistake->text, sizeof(mistake->text), format, args);
	va_end(args);
}

bool schema_is_mistaken(const struct schema_reader *reader, const void *value)
{
	for (size_t i = 0; i < reader->mistake_count; i++)
		if (reader->mistakes[i].about == value)
			return true;
	return false;
}

static int mistake_compare(const void *left, const void *right)
{
	const struct mistake *a = left, *b = right;

	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	return a->order < b->order ? -1 : 1;
}

/* What is mistaken at an anchor is found again at each of its aliases. */
static bool mistake_is_repeated(const struct mistake *mistakes, size_t index)
{
	for (size_t i = index; i-- > 0 && mistakes[i].line == mistakes[index].line;)
		if (strcmp(mistakes[i].text, mistakes[index].text) == 0)
			return true;
	return false;
}

int schema_report(struct schema_reader *reader, const char *path, FILE *errors)
{
	if (reader->out_of_memory)
		return -ENOMEM;
	if (reader->mistake_count == 0)
		return 0;
	qsort(reader->mistakes, reader->mistake_count, sizeof(*reader->mistakes), mistake_compare);
	for (size_t i = 0; i < reader->mistake_count; i++)
		if (!mistake_is_repeated(reader->mistakes, i))
			(void)fprintf(errors, "%s:%u: %s\n", path, reader->mistakes[i].line,
				      reader->mistakes[i].text);
	if (reader->unlisted_count > 0)
		(void)fprintf(errors, "%s: %zu more mistakes are not listed: correct these first\n",
			      path, reader->unlisted_count);
	return -EINVAL;
}

/* The text on its way into the parser. */
struct source {
	yaml_parser_t parser;
	const char *text;
	size_t size, offset;
	size_t asterisk_count; /* at least as many as aliases, which leave no trace */
	const char *refusal;   /* why no more of it is given */
};

/* What the parser has made of the text so far must stay within bounds. */
static const char *source_refusal(const struct source *source)
{
	const yaml_parser_t *parser = &source->parser;
	const yaml_document_t *document = parser->document;

	if (parser->flow_level > BRACKET_DEPTH_MAX)
		return "brackets are nested too deep";
	if (parser->aliases.top - parser->aliases.start > ANCHOR_COUNT_MAX)
		return "there are too many anchors";
	if (source->asterisk_count > ALIAS_COUNT_MAX)
		return "there are too many aliases";
	if (document && document->nodes.top - document->nodes.start > VISIT_COUNT_MAX)
		return "there are too many values";
	return NULL;
}

/* A yaml_read_handler_t: 1, or 0 to give up. */
static int source_read(void *data, unsigned char *buffer, size_t size, size_t *ret_size)
{
	struct source *source = data;
	size_t left = source->size - source->offset;
	size_t piece = size < PIECE_SIZE_BYTES ? size : PIECE_SIZE_BYTES;

	source->refusal = source_refusal(source);
	if (source->refusal)
		return 0;
	if (piece > left)
		piece = left;
	memcpy(buffer, source->text + source->offset, piece);
	for (size_t i = 0; i < piece; i++)
		source->asterisk_count += buffer[i] == '*';
	source->offset += piece;
	*ret_size = piece;
	return 1;
}

static unsigned int line_at(const char *text, size_t offset)
{
	unsigned int line = 1;

	for (size_t i = 0; i < offset; i++)
		line += text[i] == '\n';
	return line;
}

/* libyaml gives a line for all errors but those of encoding, which have a byte. */
static void syntax_mistake(struct schema_reader *reader, const struct source *source)
{
	const yaml_parser_t *parser = &source->parser;
	unsigned int line = (unsigned int)parser->problem_mark.line + 1;

	if (parser->error == YAML_MEMORY_ERROR) {
		reader->out_of_memory = true;
		return;
	}
	if (source->refusal) {
		schema_mistake(reader, line_at(source->text, source->offset), NULL,
			       "%s up to here: expected at most %d levels of brackets, %d "
			       "anchors, %d aliases and %d values",
			       source->refusal, BRACKET_DEPTH_MAX, ANCHOR_COUNT_MAX,
			       ALIAS_COUNT_MAX, VISIT_COUNT_MAX);
		return;
	}
	if (parser->error == YAML_READER_ERROR)
		line = line_at(source->text, parser->problem_offset);
	schema_mistake(reader, line, NULL, "this is not YAML: %s%s%s",
		       parser->problem ? parser->problem : "unreadable",
		       parser->context ? ", " : "", parser->context ? parser->context : "");
}

/* A file is one document: whatever follows it is refused. */
static void refuse_second_document(struct schema_reader *reader, struct source *source)
{
	yaml_document_t second;
	yaml_node_t *root;

	if (!yaml_parser_load(&source->parser, &second)) {
		syntax_mistake(reader, source);
		return;
	}
	root = yaml_document_get_root_node(&second);
	if (root)
		schema_mistake(reader, line_of(root), NULL,
			       "a second document begins here: expected one in a file, "
			       "put both under one set of keys");
	yaml_document_delete(&second);
}

static void parse(struct schema_reader *reader, const char *text, size_t size)
{
	struct source source = { .text = text, .size = size };

	if (!yaml_parser_initialize(&source.parser)) {
		reader->out_of_memory = true;
		return;
	}
	yaml_parser_set_input(&source.parser, source_read, &source);
	reader->has_document = yaml_parser_load(&source.parser, &reader->document);
	if (!reader->has_document) {
		syntax_mistake(reader, &source);
	} else {
		reader->root = yaml_document_get_root_node(&reader->document);
		if (reader->root)
			refuse_second_document(reader, &source);
	}
	yaml_parser_delete(&source.parser);
}

int schema_open(const char *text, size_t size, struct schema_reader **ret_reader)
{
	struct schema_reader *reader = calloc(1, sizeof(*reader));

	if (!reader)
		return -ENOMEM;
	reader->visits_left = VISIT_COUNT_MAX;
	parse(reader, text, size);
	*ret_reader = reader;
	return 0;
}

void schema_close(struct schema_reader *reader)
{
	if (!reader)
		return;
	if (reader->has_document)
		yaml_document_delete(&reader->document);
	free(reader->mistakes);
	free(reader);
}

/* May count more nodes be looked at? Says once that they may not. */
static bool may_visit(struct schema_reader *reader, size_t count, unsigned int line)
{
	if (count <= reader->visits_left) {
		reader->visits_left -= count;
		return true;
	}
	if (!reader->is_exhausted)
		schema_mistake(reader, line, NULL,
			       "the file goes on for more than %d values, aliases counted at each "
			       "use: expected fewer",
			       VISIT_COUNT_MAX);
	reader->visits_left = 0;
	reader->is_exhausted = true;
	return false;
}

static size_t field_count(const struct schema_field *fields)
{
	size_t count = 0;

	while (fields[count].key)
		count++;
	assert(count <= SCHEMA_FIELD_COUNT_MAX);
	return count;
}

static const struct schema_field *field_find(const struct schema_field *fields,
					     const yaml_node_t *key)
{
	const char *text = (const char *)key->data.scalar.value;

	for (; fields->key; fields++)
		if (strlen(fields->key) == key->data.scalar.length &&
		    strcmp(fields->key, text) == 0)
			return fields;
	return NULL;
}

/* Insertions, deletions and changes that make one word of another (Levenshtein),
 * for words of at most 31 letters. */
static size_t word_distance(const char *from, const char *to)
{
	size_t row[32];
	size_t to_len = strlen(to);

	assert(to_len < sizeof(row) / sizeof(row[0]));
	for (size_t j = 0; j <= to_len; j++)
		row[j] = j;
	for (size_t i = 0; from[i]; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < to_len; j++) {
			size_t changed = diagonal + (from[i] != to[j]);
			size_t shorter = row[j] < row[j + 1] ? row[j] : row[j + 1];

			diagonal = row[j + 1];
			row[j + 1] = changed < shorter + 1 ? changed : shorter + 1;
		}
	}
	return row[to_len];
}

/* "a, b, c" */
static void keys_list(const struct schema_field *fields, char *text, size_t text_size)
{
	size_t len = 0;

	for (const struct schema_field *field = fields; field->key && len < text_size; field++)
		len += (size_t)snprintf(text + len, text_size - len, "%s%s",
					field == fields ? "" : ", ", field->key);
}

/* Report a key that is not in the table. Returns the field that was probably
 * meant, whose value is worth reading, or NULL. */
static const struct schema_field *unknown_key_mistake(struct schema_reader *reader,
						      const struct schema_field *fields,
						      const yaml_node_t *key)
{
	struct excerpt excerpt = excerpt_of_node(key);
	const struct schema_field *nearest = fields;
	char known[SCHEMA_TEXT_SIZE];

	for (const struct schema_field *field = fields; field->key; field++)
		if (word_distance(excerpt.text, field->key) <
		    word_distance(excerpt.text, nearest->key))
			nearest = field;
	if (3 * word_distance(excerpt.text, nearest->key) <= strlen(nearest->key)) {
		schema_mistake(reader, line_of(key), NULL,
			       "unknown key \"%s\": did you mean \"%s\"?", excerpt.text,
			       nearest->key);
		return nearest;
	}
	keys_list(fields, known, sizeof(known));
	schema_mistake(reader, line_of(key), NULL, "unknown key \"%s\": expected one of %s",
		       excerpt.text, known);
	return NULL;
}

void schema_describe(const struct schema_field *field, char *text, size_t text_size)
{
	char each[SCHEMA_TEXT_SIZE], keys[SCHEMA_TEXT_SIZE];

	if (field->list) {
		struct schema_field item = *field;

		item.list = NULL;
		schema_describe(&item, each, sizeof(each));
		(void)snprintf(text, text_size, "a list of %zu to %zu, each %s%s%s%s",
			       field->list->minimum, field->list->maximum,
			       field->list->has_shorthand ? "its " : "",
			       field->list->has_shorthand ? field->fields[0].key : "",
			       field->list->has_shorthand ? " alone or " : "", each);
	} else if (field->scalar) {
		field->scalar->describe(field, text, text_size);
	} else {
		keys_list(field->fields, keys, sizeof(keys));
		(void)snprintf(text, text_size, "a mapping with %s", keys);
	}
}

/* The address that stands for a field's value when mistakes are about it. */
static void *field_value(const struct schema_field *field, char *container)
{
	if (field->list && field->list->item_size > 0)
		return container + field->list->count_offset;
	return container + field->offset;
}

static void kind_mistake(struct schema_reader *reader, const struct schema_field *field,
			 const yaml_node_t *node, const void *about)
{
	char expected[SCHEMA_TEXT_SIZE];
	const char *is = "is a mapping";

	if (node->type == YAML_SEQUENCE_NODE)
		is = "is a list";
	else if (node->type == YAML_SCALAR_NODE)
		is = node->data.scalar.length > 0 ? "is a single value" : "has no value";
	schema_describe(field, expected, sizeof(expected));
	schema_mistake(reader, line_of(node), about, "%s: this %s: expected %s", field->key, is,
		       expected);
}

static void read_scalar(struct schema_reader *reader, const struct schema_field *field,
			const yaml_node_t *node, void *value)
{
	char expected[SCHEMA_TEXT_SIZE];
	const char *text = (const char *)node->data.scalar.value;
	const char *complaint = "holds a zero byte";

	if (node->type != YAML_SCALAR_NODE || node->data.scalar.length == 0) {
		kind_mistake(reader, field, node, value);
		return;
	}
	if (strlen(text) == node->data.scalar.length)
		complaint = field->scalar->parse(field, text, value);
	if (!complaint)
		return;
	field->scalar->describe(field, expected, sizeof(expected));
	schema_mistake(reader, line_of(node), value, "%s: \"%s\" %s: expected %s", field->key,
		       excerpt_of_node(node).text, complaint, expected);
}

/* The value of a key that the file does not have; line: where it could be. */
static void fill_absent(struct schema_reader *reader, const struct schema_field *field,
			unsigned int line, char *container)
{
	char expected[SCHEMA_TEXT_SIZE];
	const char *complaint;

	if (field->required) {
		schema_describe(field, expected, sizeof(expected));
		schema_mistake(reader, line, field_value(field, container),
			       "the key \"%s\" is missing here: expected %s", field->key, expected);
	} else if (field->fallback) {
		complaint = field->scalar->parse(field, field->fallback, container + field->offset);
		assert(!complaint);
	} else if (field->fields && !field->list) {
		for (const struct schema_field *inner = field->fields; inner->key; inner++)
			fill_absent(reader, inner, line, container + field->offset);
	}
}

static void read_field(struct schema_reader *reader, const struct schema_field *field,
		       const yaml_node_t *node, char *container);

/* One key of a mapping and what it holds; first_line: where each field was. */
static void read_pair(struct schema_reader *reader, const struct schema_field *fields,
		      const yaml_node_t *key, const yaml_node_t *value, char *container,
		      unsigned int *first_line)
{
	const struct schema_field *field;
	bool is_misspelt;

	if (key->type != YAML_SCALAR_NODE) {
		schema_mistake(reader, line_of(key), NULL,
			       "a list or mapping stands for a key: expected a word");
		return;
	}
	field = field_find(fields, key);
	is_misspelt = !field;
	if (is_misspelt)
		field = unknown_key_mistake(reader, fields, key);
	if (!field)
		return;
	if (!first_line[field - fields]) {
		first_line[field - fields] = line_of(key);
		read_field(reader, field, value, container);
	} else if (!is_misspelt) {
		schema_mistake(reader, line_of(key), NULL,
			       "the key \"%s\" is here twice, first on line %u: expected it once",
			       field->key, first_line[field - fields]);
	}
}

static void read_mapping(struct schema_reader *reader, const struct schema_field *fields,
			 const yaml_node_t *node, char *container)
{
	unsigned int first_line[SCHEMA_FIELD_COUNT_MAX] = { 0 };
	size_t count = field_count(fields);

	for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	     pair < node->data.mapping.pairs.top; pair++) {
		yaml_node_t *key = yaml_document_get_node(&reader->document, pair->key);
		yaml_node_t *value = yaml_document_get_node(&reader->document, pair->value);

		if (!may_visit(reader, 2, line_of(key)))
			return;
		read_pair(reader, fields, key, value, container, first_line);
	}
	for (size_t i = 0; i < count; i++)
		if (!first_line[i])
			fill_absent(reader, &fields[i], line_of(node), container);
}

/* One item that is a struct. false: it is not even of the right kind. */
static bool read_item(struct schema_reader *reader, const struct schema_field *field,
		      const yaml_node_t *node, char *item)
{
	if (node->type == YAML_SCALAR_NODE && field->list->has_shorthand &&
	    node->data.scalar.length > 0) {
		read_scalar(reader, &field->fields[0], node, item + field->fields[0].offset);
		for (const struct schema_field *rest = field->fields + 1; rest->key; rest++)
			fill_absent(reader, rest, line_of(node), item);
	} else if (node->type == YAML_MAPPING_NODE) {
		read_mapping(reader, field->fields, node, item);
	} else {
		return false;
	}
	*(unsigned int *)(item + field->list->line_offset) = line_of(node);
	return true;
}

static void read_items(struct schema_reader *reader, const struct schema_field *field,
		       const yaml_node_t *node, size_t count, char *container)
{
	const struct schema_list *list = field->list;
	char *items = list->is_allocated ? *(char **)(container + field->offset)
					 : container + field->offset;
	struct schema_field single = *field;
	size_t read_count = 0;

	single.list = NULL;
	for (size_t i = 0; i < count; i++) {
		yaml_node_t *item = yaml_document_get_node(&reader->document,
							   node->data.sequence.items.start[i]);
		char *value = items + read_count * list->item_size;

		if (field->scalar)
			read_scalar(reader, &single, item, value);
		else if (!read_item(reader, field, item, value)) {
			kind_mistake(reader, &single, item, field_value(field, container));
			continue;
		}
		read_count++;
	}
	if (list->item_size > 0)
		*(size_t *)(container + list->count_offset) = read_count;
}

static void read_list(struct schema_reader *reader, const struct schema_field *field,
		      const yaml_node_t *node, char *container)
{
	const struct schema_list *list = field->list;
	size_t count;

	if (node->type != YAML_SEQUENCE_NODE) {
		kind_mistake(reader, field, node, field_value(field, container));
		return;
	}
	count = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
	if (count < list->minimum) {
		schema_mistake(reader, line_of(node), field_value(field, container),
			       "%s: the list is too short: expected at least %zu", field->key,
			       list->minimum);
		return;
	}
	if (count > list->maximum) {
		yaml_node_t *first_over = yaml_document_get_node(
			&reader->document, node->data.sequence.items.start[list->maximum]);

		schema_mistake(reader, line_of(first_over), field_value(field, container),
			       "%s: the list goes on after %zu: expected no more", field->key,
			       list->maximum);
		count = list->maximum;
	}
	if (!may_visit(reader, count, line_of(node)))
		return;
	if (list->is_allocated && count > 0) {
		void *items = calloc(count, list->item_size);

		if (!items) {
			reader->out_of_memory = true;
			return;
		}
		*(void **)(container + field->offset) = items;
	}
	read_items(reader, field, node, count, container);
}

static void read_inner(struct schema_reader *reader, const struct schema_field *field,
		       const yaml_node_t *node, char *container)
{
	if (field->present_offset)
		*(bool *)(container + field->present_offset) = true;
	read_mapping(reader, field->fields, node, container + field->offset);
}

static void read_field(struct schema_reader *reader, const struct schema_field *field,
		       const yaml_node_t *node, char *container)
{
	if (field->list)
		read_list(reader, field, node, container);
	else if (field->scalar)
		read_scalar(reader, field, node, container + field->offset);
	else if (node->type == YAML_MAPPING_NODE)
		read_inner(reader, field, node, container);
	else
		kind_mistake(reader, field, node, container + field->offset);
}

void schema_read(struct schema_reader *reader, const struct schema_field *fields, void *ret_struct)
{
	char keys[SCHEMA_TEXT_SIZE];

	keys_list(fields, keys, sizeof(keys));
	if (reader->root && reader->root->type == YAML_MAPPING_NODE)
		read_mapping(reader, fields, reader->root, ret_struct);
	else if (reader->root)
		schema_mistake(reader, line_of(reader->root), NULL,
			       "the file is not a mapping: expected the keys %s", keys);
	else if (reader->mistake_count == 0)
		schema_mistake(reader, 1, NULL, "the file is empty: expected the keys %s", keys);
}

/* The pair of a key in a mapping, or NULL. */
static yaml_node_pair_t *pair_find(yaml_document_t *document, const yaml_node_t *mapping,
				   const char *key)
{
	if (!mapping || mapping->type != YAML_MAPPING_NODE)
		return NULL;
	for (yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;
	     pair < mapping->data.mapping.pairs.top; pair++) {
		yaml_node_t *node = yaml_document_get_node(document, pair->key);

		if (node->type == YAML_SCALAR_NODE &&
		    strcmp((const char *)node->data.scalar.value, key) == 0)
			return pair;
	}
	return NULL;
}

unsigned int schema_line(const struct schema_reader *reader, const char *mapping, const char *key)
{
	/* libyaml looks nodes up by a pointer that is not const. */
	yaml_document_t *document = (yaml_document_t *)&reader->document;
	yaml_node_pair_t *pair = pair_find(document, reader->root, mapping);

	if (pair && key)
		pair = pair_find(document, yaml_document_get_node(document, pair->value), key);
	return pair ? line_of(yaml_document_get_node(document, pair->key)) : 1;
}
