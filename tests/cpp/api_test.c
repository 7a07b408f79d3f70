/* api_test BUNDLE LIBONNXRUNTIME: calls the C API as it should be called, and in every way it should not. */

#include <math.h>
#include <mirrorkit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures = 0;

#define CHECK(condition)                                                                   \
  do {                                                                                     \
    if (!(condition)) {                                                                    \
      fprintf(stderr, "line %d: %s (%s)\n", __LINE__, #condition, mirrorkit_last_error()); \
      ++failures;                                                                          \
    }                                                                                      \
  } while (0)

#define FAILS(call, status)                    \
  do {                                         \
    CHECK((call) == (status));                 \
    CHECK(strlen(mirrorkit_last_error()) > 0); \
  } while (0)

#ifdef _WIN32
static const char no_onnxruntime[] = "kernel32.dll";
#else
static const char no_onnxruntime[] = "libc.so.6";
#endif

enum { big = 10 * 1000 * 1000 };

static mirrorkit_params params;
static int messages = 0;

static void count_messages(mirrorkit_log_level level, const char *message, void *user) {
  if (level == MIRRORKIT_LOG_INFO && message != NULL) ++*(int *)user;
}

static void test_create(const char *bundle) {
  mirrorkit_encoder *encoder = (mirrorkit_encoder *)&params; /* must be set to NULL on failure */
  FAILS(mirrorkit_create(NULL, &params, &encoder), MIRRORKIT_INVALID_ARGUMENT);
  CHECK(encoder == NULL);
  FAILS(mirrorkit_create(bundle, &params, NULL), MIRRORKIT_INVALID_ARGUMENT);
  FAILS(mirrorkit_create("", &params, &encoder), MIRRORKIT_NOT_FOUND);
  FAILS(mirrorkit_create("no such folder", &params, &encoder), MIRRORKIT_NOT_FOUND);
  FAILS(mirrorkit_create("\xff\xfe", &params, &encoder), MIRRORKIT_INVALID_ARGUMENT);
  FAILS(mirrorkit_create("/", &params, &encoder), MIRRORKIT_NOT_FOUND);
  FAILS(mirrorkit_create("/dev/null", &params, &encoder), MIRRORKIT_BAD_BUNDLE);

  mirrorkit_params wrong = params;
  wrong.variant = "no-such-variant";
  FAILS(mirrorkit_create(bundle, &wrong, &encoder), MIRRORKIT_NOT_FOUND);
  CHECK(strstr(mirrorkit_last_error(), "fp32") != NULL);
  wrong = params;
  wrong.variant = "../secret.onnx";
  FAILS(mirrorkit_create(bundle, &wrong, &encoder), MIRRORKIT_NOT_FOUND);
  wrong = params;
  wrong.onnxruntime = "no-such-library.so";
  FAILS(mirrorkit_create(bundle, &wrong, &encoder), MIRRORKIT_NOT_FOUND);
  wrong = params;
  wrong.onnxruntime = no_onnxruntime;
  FAILS(mirrorkit_create(bundle, &wrong, &encoder), MIRRORKIT_NOT_FOUND);
  wrong = params;
  wrong.threads = -1;
  FAILS(mirrorkit_create(bundle, &wrong, &encoder), MIRRORKIT_INVALID_ARGUMENT);
  wrong = params;
  wrong.size = 1;
  FAILS(mirrorkit_create(bundle, &wrong, &encoder), MIRRORKIT_INVALID_ARGUMENT);
  CHECK(encoder == NULL);
}

static void test_null(void) {
  size_t count = 0;
  float vector[1];
  const char *text = "a";
  mirrorkit_free(NULL);
  CHECK(mirrorkit_dim(NULL) == 0);
  CHECK(mirrorkit_max_length(NULL) == 0);
  CHECK(strcmp(mirrorkit_variant(NULL), "") == 0);
  CHECK(strcmp(mirrorkit_onnxruntime_version(NULL), "") == 0);
  FAILS(mirrorkit_encode(NULL, &text, NULL, 1, vector, 1), MIRRORKIT_INVALID_ARGUMENT);
  CHECK(mirrorkit_dim_with(NULL, NULL) == 0);
  CHECK(mirrorkit_normalized(NULL) == 0);
  CHECK(strcmp(mirrorkit_similarity_name(NULL), "") == 0);
  FAILS(mirrorkit_encode_with(NULL, NULL, &text, NULL, 1, vector, 1), MIRRORKIT_INVALID_ARGUMENT);
  FAILS(mirrorkit_similarity(NULL, vector, 1, vector, 1, 1, vector), MIRRORKIT_INVALID_ARGUMENT);
  FAILS(mirrorkit_token_counts(NULL, NULL, &text, NULL, 1, &count), MIRRORKIT_INVALID_ARGUMENT);
  FAILS(mirrorkit_token_ids(NULL, NULL, text, 1, NULL, 0, &count), MIRRORKIT_INVALID_ARGUMENT);
  FAILS(mirrorkit_encode_ids(NULL, NULL, NULL, NULL, 0, NULL, 0), MIRRORKIT_INVALID_ARGUMENT);
  FAILS(mirrorkit_read(NULL, "tokenizer.json", NULL, 0, &count), MIRRORKIT_INVALID_ARGUMENT);
  mirrorkit_encoder *encoder = NULL;
  FAILS(mirrorkit_create_from_memory(NULL, NULL, NULL, 1, NULL, &encoder), MIRRORKIT_INVALID_ARGUMENT);
  FAILS(mirrorkit_create_from_reader(NULL, NULL, &encoder), MIRRORKIT_INVALID_ARGUMENT);
}

static void test_encode(const mirrorkit_encoder *encoder) {
  const size_t dim = (size_t)mirrorkit_dim(encoder);
  const char *texts[] = {"A cat sat on the mat.", "",
                         "Ein Satz \xc3\xbc"
                         "ber Katzen."};
  const size_t lengths[] = {21, 0, 22};
  float *one = malloc(3 * dim * sizeof(float)), *two = malloc(3 * dim * sizeof(float));
  if (one == NULL || two == NULL) exit(2);

  CHECK(mirrorkit_encode(encoder, texts, NULL, 3, one, 3 * dim) == MIRRORKIT_OK);
  CHECK(mirrorkit_encode(encoder, texts, lengths, 3, two, 3 * dim) == MIRRORKIT_OK);
  CHECK(memcmp(one, two, 3 * dim * sizeof(float)) == 0);
  for (size_t row = 0; row < 3; ++row) {
    double square = 0;
    for (size_t i = 0; i < dim; ++i) square += (double)one[row * dim + i] * (double)one[row * dim + i];
    CHECK(fabs(square - 1) < 1e-4);
  }
  CHECK(mirrorkit_encode(encoder, NULL, NULL, 0, NULL, 0) == MIRRORKIT_OK);

  FAILS(mirrorkit_encode(encoder, texts, NULL, 3, one, 3 * dim - 1), MIRRORKIT_BUFFER_TOO_SMALL);
  FAILS(mirrorkit_encode(encoder, texts, NULL, (size_t)-1, one, 3 * dim), MIRRORKIT_BUFFER_TOO_SMALL);
  FAILS(mirrorkit_encode(encoder, texts, NULL, 3, NULL, 3 * dim), MIRRORKIT_INVALID_ARGUMENT);
  FAILS(mirrorkit_encode(encoder, NULL, NULL, 3, one, 3 * dim), MIRRORKIT_INVALID_ARGUMENT);
  const char *with_null[] = {"a", NULL};
  FAILS(mirrorkit_encode(encoder, with_null, NULL, 2, one, 3 * dim), MIRRORKIT_INVALID_ARGUMENT);
  CHECK(strstr(mirrorkit_last_error(), "texts[1]") != NULL);
  const char *invalid[] = {"\xff", "\xc3", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc0\x80", "a\x80", "\xe2\x82"};
  for (size_t i = 0; i < sizeof invalid / sizeof invalid[0]; ++i) {
    FAILS(mirrorkit_encode(encoder, &invalid[i], NULL, 1, one, 3 * dim), MIRRORKIT_INVALID_ARGUMENT);
  }
  mirrorkit_options options = mirrorkit_default_options();
  CHECK(mirrorkit_encode_with(encoder, &options, texts, NULL, 3, two, 3 * dim) == MIRRORKIT_OK);
  CHECK(memcmp(one, two, 3 * dim * sizeof(float)) == 0);
  options.truncate_dim = 3;
  CHECK(mirrorkit_dim_with(encoder, &options) == 3);
  CHECK(mirrorkit_encode_with(encoder, &options, texts, NULL, 3, two, 9) == MIRRORKIT_OK);
  CHECK(two[3] == one[dim]);
  FAILS(mirrorkit_encode_with(encoder, &options, texts, NULL, 3, two, 8), MIRRORKIT_BUFFER_TOO_SMALL);
  options.prompt = "\xff";
  FAILS(mirrorkit_encode_with(encoder, &options, texts, NULL, 3, two, 9), MIRRORKIT_INVALID_ARGUMENT);
  options.size = 1;
  FAILS(mirrorkit_encode_with(encoder, &options, texts, NULL, 3, two, 9), MIRRORKIT_INVALID_ARGUMENT);
  CHECK(mirrorkit_dim_with(encoder, &options) == 0);
  FAILS(mirrorkit_similarity(encoder, NULL, 1, one, 1, dim, two), MIRRORKIT_INVALID_ARGUMENT);
  free(one);
  free(two);
}

static void test_tokens(const mirrorkit_encoder *encoder) {
  const size_t longest = (size_t)mirrorkit_max_length(encoder);
  int32_t ids[16], more[16];
  size_t count = 0, counts[2];
  const char *texts[] = {"a b", "a\0b"};
  const size_t lengths[] = {3, 3};
  CHECK(mirrorkit_token_ids(encoder, NULL, "a b", 3, ids, 16, &count) == MIRRORKIT_OK);
  CHECK(count == 4); /* with the two special ones */
  CHECK(mirrorkit_token_counts(encoder, NULL, texts, lengths, 2, counts) == MIRRORKIT_OK);
  CHECK(counts[0] == 4 && counts[1] == 3); /* a zero byte inside is dropped as any control character is */
  CHECK(mirrorkit_token_ids(encoder, NULL, "a\0b", 3, ids, 16, &count) == MIRRORKIT_OK);
  CHECK(mirrorkit_token_ids(encoder, NULL, "ab", 2, more, 16, &counts[0]) == MIRRORKIT_OK);
  CHECK(count == counts[0] && memcmp(ids, more, count * sizeof ids[0]) == 0);
  FAILS(mirrorkit_token_ids(encoder, NULL, "a b", 3, ids, 3, &count), MIRRORKIT_BUFFER_TOO_SMALL);
  CHECK(count == 4);
  FAILS(mirrorkit_token_ids(encoder, NULL, "a b", 3, NULL, 0, &count), MIRRORKIT_BUFFER_TOO_SMALL);
  FAILS(mirrorkit_token_ids(encoder, NULL, "a b", 3, NULL, 3, &count), MIRRORKIT_INVALID_ARGUMENT);
  FAILS(mirrorkit_token_ids(encoder, NULL, NULL, 3, ids, 16, &count), MIRRORKIT_INVALID_ARGUMENT);
  FAILS(mirrorkit_token_ids(encoder, NULL, "a b", 3, ids, 16, NULL), MIRRORKIT_INVALID_ARGUMENT);

  char *text = malloc(big + 1);
  if (text == NULL) exit(2);
  const char *const held = text;
  const size_t size = big;
  for (const char *fill = "a "; *fill != '\0'; ++fill) {
    memset(text, *fill, big);
    text[big] = '\0';
    CHECK(mirrorkit_token_counts(encoder, NULL, &held, &size, 1, counts) == MIRRORKIT_OK);
    CHECK(counts[0] <= longest);
  }
  for (size_t i = 0; i < big; i += 2) text[i] = 'b';
  CHECK(mirrorkit_token_counts(encoder, NULL, &held, NULL, 1, counts) == MIRRORKIT_OK);
  CHECK(counts[0] == longest);
  free(text);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  params = mirrorkit_default_params();
  params.variant = "fp32";
  params.onnxruntime = argv[2];
  params.threads = 1;
  params.log = count_messages;
  params.log_user = &messages;
  CHECK(strcmp(mirrorkit_last_error(), "") == 0);

  test_create(argv[1]);
  test_null();
  mirrorkit_encoder *encoder = NULL;
  CHECK(mirrorkit_create(argv[1], &params, &encoder) == MIRRORKIT_OK);
  if (encoder == NULL) return 1;
  CHECK(messages > 0);
  CHECK(strncmp(mirrorkit_variant(encoder), "fp32", 4) == 0);
  CHECK(strchr(mirrorkit_onnxruntime_version(encoder), '.') != NULL);
  test_encode(encoder);
  test_tokens(encoder);
  mirrorkit_free(encoder);

  params.tokenizer_only = 1;
  params.onnxruntime = "no-such-library.so";
  CHECK(mirrorkit_create(argv[1], &params, &encoder) == MIRRORKIT_OK);
  test_tokens(encoder);
  float *vector = malloc((size_t)mirrorkit_dim(encoder) * sizeof(float));
  const char *text = "a";
  FAILS(mirrorkit_encode(encoder, &text, NULL, 1, vector, (size_t)mirrorkit_dim(encoder)), MIRRORKIT_INVALID_ARGUMENT);
  free(vector);
  mirrorkit_free(encoder);

  CHECK(strcmp(mirrorkit_status_name(MIRRORKIT_BUFFER_TOO_SMALL), "buffer too small") == 0);
  CHECK(strlen(mirrorkit_version()) >= 5);
  if (failures == 0) puts("ok");
  return failures == 0 ? 0 : 1;
}
