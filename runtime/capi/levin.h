/* levin.h: the C interface to compiled models.
 *
 *   levin_load -> levin_session_create -> levin_step / levin_generate / levin_engine_* / levin_call
 *
 * Errors.  Every function that can fail returns a levin_status: 0 when fine, otherwise a number of
 * the error catalogue (docs/errors.md), 3004 for "LV3004".  Such functions take a last argument
 * `levin_error **error`, which may be NULL; after a failure *error is an object with the number and
 * the full text, to be freed with levin_error_free.  After success *error is left alone.  No
 * function aborts the process because of what it is given, except for invalid pointers.
 *
 * Structures.  Options and descriptions begin with `size`, which the caller sets to sizeof the
 * structure it was compiled with, and a later library understands: LEVIN_INIT does that and zeroes
 * the rest.  In options, zero always means the default.
 *
 *     levin_load_options options = LEVIN_INIT(levin_load_options);
 *
 * Threads.  A model does not change once it is loaded and may be used by many threads.  A session,
 * its engines and samplers are for one thread at a time; a call into a session that is busy fails
 * with LV2009.  Callbacks come on the thread that made the call.  Errors and version strings may be
 * used by any thread.
 *
 * Life.  Sessions keep their model alive, engines their session; freeing in any order is fine.
 * Every levin_*_free accepts NULL.  Strings and arrays that a function hands out belong to the
 * object they were asked from and live as long as it does, if nothing else is said.
 */
#ifndef LEVIN_H
#define LEVIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#define LEVIN_INIT(type)                                                                           \
  ([] {                                                                                            \
    type value{};                                                                                  \
    value.size = sizeof(type);                                                                     \
    return value;                                                                                  \
  }())
/* Any int may arrive in an enum; C++ must know that. */
#define LEVIN_ENUM_TYPE : int
#else
#define LEVIN_INIT(type) {.size = sizeof(type)}
#define LEVIN_ENUM_TYPE
#endif

#if defined(__GNUC__)
#define LEVIN_API __attribute__((visibility("default")))
#else
#define LEVIN_API
#endif

#define LEVIN_VERSION_MAJOR 0
#define LEVIN_VERSION_MINOR 1
#define LEVIN_VERSION_PATCH 0

/* 0 when fine, otherwise a number of the error catalogue. */
typedef int32_t levin_status;

typedef struct levin_error levin_error;
typedef struct levin_model levin_model;
typedef struct levin_session levin_session;
typedef struct levin_sampler levin_sampler;
typedef struct levin_engine levin_engine;

/* The version of the library in use, such as "0.1.0".  Static. */
LEVIN_API const char *levin_version(void);

/* --- Errors ----------------------------------------------------------------------------------- */

/* The number of the error, as the failing function returned it; 0 for NULL. */
LEVIN_API levin_status levin_error_code(const levin_error *error);
/* The whole message: "error LV3004: ...\n  have: ...\n  need: ...\n  fix: ...\n"; "" for NULL. */
LEVIN_API const char *levin_error_text(const levin_error *error);
LEVIN_API void levin_error_free(levin_error *error);

/* --- Loading ---------------------------------------------------------------------------------- */

/* Told while weights are read: `done` of `total` bytes in the phase "weights", or "random weights".
 * At most some twenty
 * times a second, and once at the end of each phase. */
typedef void (*levin_progress_fn)(void *user, const char *phase, uint64_t done, uint64_t total);
/* One line of information without a line end.  Nothing is printed by the library itself. */
typedef void (*levin_log_fn)(void *user, const char *line);

typedef struct levin_load_options {
  size_t size;
  /* Folders to search for weight files, in order.  None: the artifact's folder, then the folder (or
   * link) "<artifact>.weights". */
  const char *const *weight_folders;
  size_t weight_folder_count;
  /* Threads that read and convert weights; 0: as many as the process may use cores. */
  uint32_t threads;
  /* Non-zero: do not compare the weight files' SHA-256 with those in the artifact.  Names, sizes,
   * types and shapes are compared in any case. */
  int32_t skip_weight_digests;
  /* Non-zero: open and check the artifact, but neither load its code nor its weights.  Such a model
   * answers questions and gives assets; levin_session_create fails with LV2009. */
  int32_t artifact_only;
  /* The file of an Ed25519 public key (PEM): an artifact without a signature by it, in the file
   * "<artifact>.sig", is refused (LV3022).  NULL: none is asked for. */
  const char *signature_key;
  /* The most bytes that parameters may take; 0: what the machine has. */
  uint64_t max_memory;
  levin_progress_fn progress;
  levin_log_fn log;
  void *user; /* given to both */
  /* What to load for: "host", or "cuda:0" for the first GPU.  NULL: what the artifact is for. */
  const char *device;
  /* Non-zero: parameters get random values, the same for the same seed, and no weight file is
   * looked at; those whose values the artifact holds keep them.  GPUs only. */
  int32_t random_weights;
  uint64_t random_seed;
} levin_load_options;

/* Loads the artifact at `path` and its weights.
 *
 * `options` may be NULL.  On success *model is to be freed with levin_model_free.
 * Errors: LV3xxx the artifact is refused; LV2003 the key cannot be read; LV3004 it holds no code
 * for this machine; LV1016 a weight file is missing; LV1017 one is not that which was compiled;
 * LV1010, LV1012, LV1014, LV1015 one is malformed; LV4001 or LV4103 memory does not suffice; LV2002
 * there is no such device; LV3023 the artifact is for another; LV8001 to LV8004 the GPU, its driver
 * or a library cannot be used; LV2009 an argument is wrong. */
LEVIN_API levin_status levin_load(const char *path, const levin_load_options *options,
                                  levin_model **model, levin_error **error);
/* Frees the model once no session of it is left. */
LEVIN_API void levin_model_free(levin_model *model);

/* --- What a model is -------------------------------------------------------------------------- */

typedef struct levin_model_info {
  size_t size;
  const char *family;   /* "minimax", or "" */
  const char *compiler; /* what wrote the artifact */
  const char *target;  /* the code chosen for this machine, "host-x86_64-v4"; "" if there is none */
  uint64_t vocabulary; /* size of a row of logits; 0 if the model has no step entries */
  uint64_t slots;      /* sequences that a session holds at a time */
  uint64_t max_context; /* tokens that a sequence may have */
  uint64_t layers;
  uint64_t parameters; /* number of weights */
  int32_t begin_token; /* -1 if there is none */
  const int32_t *end_tokens;
  size_t end_token_count;
  size_t entry_count;
  size_t asset_count;
  /* The memory plan in bytes: parameters once a model, the others once a session. */
  uint64_t parameter_bytes;
  uint64_t state_bytes;
  uint64_t workspace_bytes;
  const char *device; /* "host", or "cuda:0 (NVIDIA H200)"; "" if loaded as artifact_only */
  uint64_t pages;     /* of caches that all sequences share; 0 if each slot has its own */
  uint64_t page_tokens;
} levin_model_info;

/* Fills *info.  Error: LV2009. */
LEVIN_API levin_status levin_model_get_info(const levin_model *model, levin_model_info *info,
                                            levin_error **error);

typedef struct levin_load_statistics {
  size_t size;
  double artifact_seconds; /* opening and checking the artifact */
  double code_seconds;     /* loading machine code */
  double weights_seconds;  /* reading, checking and converting weights */
  double total_seconds;
  uint64_t weight_bytes; /* read from weight files */
} levin_load_statistics;

/* How long loading took.  Error: LV2009. */
LEVIN_API levin_status levin_model_get_load_statistics(const levin_model *model,
                                                       levin_load_statistics *statistics,
                                                       levin_error **error);

/* Element types; the values are those of the artifact format. */
typedef enum levin_dtype LEVIN_ENUM_TYPE {
  LEVIN_I1 = 1, /* one byte, 0 or 1 */
  LEVIN_I8 = 2,
  LEVIN_U8 = 3,
  LEVIN_I16 = 4,
  LEVIN_I32 = 5,
  LEVIN_I64 = 6,
  LEVIN_U64 = 7,
  LEVIN_F16 = 8,
  LEVIN_BF16 = 9,
  LEVIN_F32 = 10,
  LEVIN_F64 = 11,
  LEVIN_F8E4M3 = 12 /* without infinities */
} levin_dtype;

/* Bytes of one element; 0 for a value that is no type. */
LEVIN_API size_t levin_dtype_size(levin_dtype type);
/* "f32" and so on; "" for a value that is no type.  Static. */
LEVIN_API const char *levin_dtype_name(levin_dtype type);

/* What an argument or result of an entry is for. */
typedef enum levin_role LEVIN_ENUM_TYPE {
  LEVIN_ROLE_NONE = 1,   /* a plain tensor */
  LEVIN_ROLE_IDS = 2,    /* token ids [tokens] */
  LEVIN_ROLE_STARTS = 3, /* first token of each sequence, and the end of the last [sequences + 1] */
  LEVIN_ROLE_SLOTS = 4,  /* place of each sequence in the state [sequences] */
  LEVIN_ROLE_PAST = 5,   /* tokens that each sequence has already [sequences] */
  LEVIN_ROLE_ROWS = 6,   /* tokens whose logits are wanted [rows] */
  LEVIN_ROLE_STATE = 7,
  LEVIN_ROLE_LOGITS = 8, /* [rows, vocabulary] */
  LEVIN_ROLE_PAGES = 9   /* page of each block of a sequence's cache [sequences, blocks] */
} levin_role;

typedef enum levin_binding_kind LEVIN_ENUM_TYPE {
  LEVIN_INPUT = 0,
  LEVIN_OUTPUT = 1,
  LEVIN_STATE = 2 /* kept by the session, updated in place */
} levin_binding_kind;

typedef struct levin_entry_info {
  size_t size;
  const char *name;
  int32_t is_step;                  /* non-zero: a bucket that levin_step uses */
  uint64_t tokens, sequences, rows; /* of the bucket; 0 for a plain function */
  size_t input_count, output_count, state_count;
  uint64_t workspace_bytes;
} levin_entry_info;

typedef struct levin_binding_info {
  size_t size;
  const char *name;
  levin_role role;
  levin_dtype dtype;
  size_t rank;
  const uint64_t *shape; /* row-major */
  uint64_t bytes;
} levin_binding_info;

/* The entry `index` < entry_count.  Error: LV2007. */
LEVIN_API levin_status levin_entry_get_info(const levin_model *model, size_t index,
                                            levin_entry_info *info, levin_error **error);
/* The index of the entry `name`.  Error: LV2007, which names the nearest. */
LEVIN_API levin_status levin_entry_find(const levin_model *model, const char *name, size_t *index,
                                        levin_error **error);
/* The argument or result `index` of an entry.  Error: LV2007. */
LEVIN_API levin_status levin_binding_get_info(const levin_model *model, size_t entry,
                                              levin_binding_kind kind, size_t index,
                                              levin_binding_info *info, levin_error **error);

/* The name of asset `index` < asset_count, such as "tokenizer.json"; NULL beyond. */
LEVIN_API const char *levin_asset_name(const levin_model *model, size_t index);
/* The bytes of the asset `name`.  Error: LV2010 if the artifact has none of that name. */
LEVIN_API levin_status levin_asset_data(const levin_model *model, const char *name,
                                        const void **data, size_t *size, levin_error **error);

/* --- Sessions --------------------------------------------------------------------------------- */

typedef struct levin_session_options {
  size_t size;
  uint32_t threads; /* the calling one included; 0: as many as the process may use cores */
  /* Non-zero: check every launch and fill the workspace with NaN before each run.  Slow; for tests.
   * The environment variable LEVIN_VALIDATE=1 has the same effect. */
  int32_t validate;
  /* The most bytes that state and workspace may take; 0: what the machine has. */
  uint64_t max_memory;
  /* Seconds after which a run on a GPU that has not ended fails (LV8007); 0: 60. */
  uint32_t timeout;
} levin_session_options;

/* A session: threads, the state of `slots` sequences and the workspace.  `options` may be NULL.
 * Errors: LV4001 memory or threads cannot be had, LV4103 the plan does not fit, LV2009, LV8004. */
LEVIN_API levin_status levin_session_create(levin_model *model,
                                            const levin_session_options *options,
                                            levin_session **session, levin_error **error);
LEVIN_API void levin_session_free(levin_session *session);

/* Takes a free slot, whose sequence is empty.  Error: LV4003 if all are taken. */
LEVIN_API levin_status levin_slot_acquire(levin_session *session, int32_t *slot,
                                          levin_error **error);
/* Gives a slot back.  Error: LV2009 if it is not taken. */
LEVIN_API levin_status levin_slot_release(levin_session *session, int32_t slot,
                                          levin_error **error);
/* Makes the sequence of a taken slot empty.  Error: LV2009 if it is not taken. */
LEVIN_API levin_status levin_slot_reset(levin_session *session, int32_t slot, levin_error **error);
/* The number of tokens that the sequence of a taken slot has.  Error: LV2009. */
LEVIN_API levin_status levin_slot_length(const levin_session *session, int32_t slot,
                                         uint64_t *length, levin_error **error);

/* Whose logits a step computes. */
typedef enum levin_logits_mode LEVIN_ENUM_TYPE {
  LEVIN_LOGITS_LAST = 0, /* of the last token */
  LEVIN_LOGITS_ALL = 1,  /* of every token */
  LEVIN_LOGITS_NONE = 2
} levin_logits_mode;

typedef struct levin_sequence {
  int32_t slot; /* taken, and in no other sequence of the step */
  levin_logits_mode logits;
  const int32_t *tokens; /* follow those that the slot has */
  size_t token_count;    /* at least 1 */
} levin_sequence;

/* Feeds tokens to several sequences at once.  Any number of tokens may be given: the session cuts
 * the work into the compiled buckets.  Results depend neither on the cutting nor on the other
 * sequences, but for rounding.
 *
 * Errors, before anything is computed: LV2008 a token is outside the vocabulary, LV4002 a sequence
 * would exceed max_context, LV2009 a slot is not taken or is given twice, LV2010 the artifact has
 * no step entries, LV4003 no bucket can do it, LV4004 the caches have no pages left.
 * On a GPU, later: LV8005 a kernel failed, LV8006 the GPU was lost, LV8007 a run did not end, after
 * which neither the session nor others on that GPU can go on; LV8004. */
LEVIN_API levin_status levin_step(levin_session *session, const levin_sequence *sequences,
                                  size_t sequence_count, levin_error **error);
/* The logits that the last levin_step computed for its sequence number `sequence`: *rows rows of
 * `vocabulary` floats, in the order of the tokens.  Valid until the next step.  Error: LV2009. */
LEVIN_API levin_status levin_logits(const levin_session *session, size_t sequence,
                                    const float **logits, size_t *rows, levin_error **error);

/* Takes the logits of token `position` (0 is the first one given) of sequence number `sequence`.
 * `logits` holds `vocabulary` floats and is valid during the call. */
typedef void (*levin_row_fn)(void *user, size_t sequence, size_t position, const float *logits);
/* levin_step that hands each row over when it is there, and keeps none: for long texts with
 * LEVIN_LOGITS_ALL.  Rows of one sequence come in order. */
LEVIN_API levin_status levin_step_rows(levin_session *session, const levin_sequence *sequences,
                                       size_t sequence_count, levin_row_fn on_row, void *user,
                                       levin_error **error);

/* --- Calling an entry directly ---------------------------------------------------------------- */

typedef struct levin_tensor {
  const char *name; /* NULL: the argument or result of the same place */
  levin_dtype dtype;
  size_t rank;
  const uint64_t *shape;
  void *data; /* row-major, `bytes` long; only read when an input */
  size_t bytes;
} levin_tensor;

/* Runs the entry `name` once.  `inputs` are all its inputs; `outputs` are those results that are
 * wanted, with dtype, shape and memory to write to (levin_binding_get_info says which).  State is
 * that of the session; arguments with roles are checked as levin_step checks them, but the lengths
 * of slots are left as they are.
 * Errors: LV2007 no such entry, input or output; LV2003 an input has another type, shape or length,
 * or an impossible value; LV2008 a token outside the vocabulary; LV2009. */
LEVIN_API levin_status levin_call(levin_session *session, const char *name,
                                  const levin_tensor *inputs, size_t input_count,
                                  const levin_tensor *outputs, size_t output_count,
                                  levin_error **error);

/* --- Sampling --------------------------------------------------------------------------------- */

/* How a token is chosen.  Applied in this order: penalties, temperature, top_k, top_p, min_p. */
typedef struct levin_sampling {
  size_t size;
  float temperature; /* 0: the largest logit, of equal ones the lowest id */
  uint32_t top_k;    /* keep the k most likely; 0: all */
  float top_p;       /* keep the most likely that together reach p in (0, 1]; 0: all */
  float min_p;       /* keep those of at least p times the largest probability; 0: all */
  /* Over the tokens of prompt and answer: positive logits are divided, negative multiplied; 0 or
   * 1: none. */
  float repetition_penalty;
  float presence_penalty;  /* taken from logits of tokens that the answer has */
  float frequency_penalty; /* taken once for each time that the answer has the token */
  uint64_t seed;           /* the same seed gives the same tokens, whatever else runs */
  /* 0: report no probabilities; n: that of the chosen token and of the n most likely, n <= 64. */
  uint32_t logprobs;
} levin_sampling;

typedef struct levin_alternative {
  int32_t token;
  float logprob; /* natural logarithm of the probability by the logits as the model gave them */
} levin_alternative;

typedef struct levin_choice {
  int32_t token;
  float logprob;                         /* 0 if sampling.logprobs is 0 */
  const levin_alternative *alternatives; /* `logprobs` many, most likely first; until the next */
  size_t alternative_count;
} levin_choice;

/* A sampler for one sequence; `sampling` may be NULL (greedy).  Error: LV2002 for a value that
 * cannot be used. */
LEVIN_API levin_status levin_sampler_create(const levin_sampling *sampling, uint64_t vocabulary,
                                            levin_sampler **sampler, levin_error **error);
LEVIN_API void levin_sampler_free(levin_sampler *sampler);
/* Tells the sampler the tokens of the prompt, for the repetition penalty.  Error: LV2008. */
LEVIN_API levin_status levin_sampler_prompt(levin_sampler *sampler, const int32_t *tokens,
                                            size_t token_count, levin_error **error);
/* Chooses the next token from one row of logits.  -inf excludes a token.  Error: LV9001 if a logit
 * is NaN or +inf, or all are excluded. */
LEVIN_API levin_status levin_sampler_sample(levin_sampler *sampler, const float *logits,
                                            levin_choice *choice, levin_error **error);

/* --- Generation ------------------------------------------------------------------------------- */

typedef enum levin_finish LEVIN_ENUM_TYPE {
  LEVIN_FINISH_NONE = 0,      /* goes on */
  LEVIN_FINISH_END = 1,       /* an end token was chosen; it is not reported as a token */
  LEVIN_FINISH_LENGTH = 2,    /* max_tokens are there */
  LEVIN_FINISH_CONTEXT = 3,   /* the context is full */
  LEVIN_FINISH_STOPPED = 4,   /* on_token said so */
  LEVIN_FINISH_CANCELLED = 5, /* levin_engine_cancel, or the engine was freed */
  LEVIN_FINISH_FAILED = 6     /* the step failed with the error that it returned */
} levin_finish;

/* A generated token.  Non-zero as result: the request ends with LEVIN_FINISH_STOPPED. */
typedef int (*levin_token_fn)(void *user, uint64_t request, const levin_choice *choice);

typedef struct levin_result {
  levin_finish finish;
  uint64_t prompt_tokens, generated_tokens;
  double queue_seconds;       /* from levin_engine_add until a slot was free */
  double first_token_seconds; /* from then until the first token was chosen */
  double total_seconds;       /* from levin_engine_add until the end */
} levin_result;

/* A request ended; its slot is free. */
typedef void (*levin_finish_fn)(void *user, uint64_t request, const levin_result *result);

typedef struct levin_request {
  size_t size;
  const int32_t *prompt; /* copied */
  size_t prompt_count;   /* at least 1 */
  uint64_t max_tokens;   /* 0: until an end token or the end of the context */
  /* Tokens that end the answer.  NULL: the model's, unless ignore_end_tokens is non-zero. */
  const int32_t *end_tokens;
  size_t end_token_count;
  int32_t ignore_end_tokens;
  const levin_sampling *sampling; /* NULL: greedy; copied */
  levin_token_fn on_token;        /* may be NULL */
  levin_finish_fn on_finish;      /* may be NULL */
  void *user;                     /* given to both */
} levin_request;

/* Runs one request to its end.  Errors: those of levin_engine_add and levin_engine_run. */
LEVIN_API levin_status levin_generate(levin_session *session, const levin_request *request,
                                      levin_error **error);

/* An engine serves many requests with one session: it takes and gives back slots, mixes pieces of
 * prompts with single tokens in one step, and lets requests wait while all slots are taken.  What a
 * request gets does not depend on the others, but for rounding. */
LEVIN_API levin_status levin_engine_create(levin_session *session, levin_engine **engine,
                                           levin_error **error);
/* Ends what still runs with LEVIN_FINISH_CANCELLED.  Not from a callback of the engine. */
LEVIN_API void levin_engine_free(levin_engine *engine);
/* Adds a request; *id (may be NULL) is its number, from 1 on.  May be called from callbacks.
 * Errors: LV2009 the prompt is empty, LV2008 a token is outside the vocabulary, LV4002 the prompt
 * exceeds the context, LV2002 a sampling value cannot be used. */
LEVIN_API levin_status levin_engine_add(levin_engine *engine, const levin_request *request,
                                        uint64_t *id, levin_error **error);
/* Ends a request, which then hears on_finish.  May be called from callbacks.
 * Error: LV2009 if there is no such request or it has ended. */
LEVIN_API levin_status levin_engine_cancel(levin_engine *engine, uint64_t id, levin_error **error);
/* One step; *active (may be NULL) is the number of requests that are not finished.  A request whose
 * logits are unusable (LV9001) fails the step and is ended; the others can go on. */
LEVIN_API levin_status levin_engine_step(levin_engine *engine, size_t *active, levin_error **error);
/* Steps until every request has ended. */
LEVIN_API levin_status levin_engine_run(levin_engine *engine, levin_error **error);

/* --- Statistics ------------------------------------------------------------------------------- */

typedef struct levin_statistics {
  size_t size;
  uint64_t runs;           /* of compiled buckets */
  uint64_t tokens;         /* fed */
  uint64_t padding_tokens; /* computed in vain */
  uint64_t rows;           /* of logits */
  uint64_t launches;       /* of kernels */
  double seconds;          /* spent in runs */
} levin_statistics;

/* What the session has done since it was made.  Error: LV2009. */
LEVIN_API levin_status levin_session_get_statistics(const levin_session *session,
                                                    levin_statistics *statistics,
                                                    levin_error **error);

#ifdef __cplusplus
}
#endif

#endif /* LEVIN_H */
