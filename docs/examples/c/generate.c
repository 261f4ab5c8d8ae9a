/* Continues a list of token ids:   generate MODEL.lvn 1 5 7
 * Build:   cc -std=c11 generate.c -Iinclude -Llib -llevin -o generate */
#include "runtime/capi/levin.h"

#include <stdio.h>
#include <stdlib.h>

static int print_token(void *user, uint64_t request, const levin_choice *choice) {
  (void)user, (void)request;
  printf("%d ", choice->token);
  fflush(stdout);
  return 0; /* go on */
}

static int fail(levin_error *error) {
  fputs(levin_error_text(error), stderr);
  int status = levin_error_code(error) / 1000; /* the first digit */
  levin_error_free(error);
  return status;
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: generate MODEL.lvn ID...\n");
    return 2;
  }
  levin_error *error = NULL;
  levin_model *model = NULL;
  if (levin_load(argv[1], NULL, &model, &error))
    return fail(error);

  int status = 0;
  size_t count = (size_t)argc - 2;
  int32_t *prompt = malloc(count * sizeof *prompt);
  for (size_t i = 0; prompt && i < count; ++i)
    prompt[i] = (int32_t)strtol(argv[i + 2], NULL, 10);

  levin_sampling sampling = LEVIN_INIT(levin_sampling);
  sampling.temperature = 0.8f;
  sampling.top_p = 0.95f;
  sampling.seed = 42;
  levin_request request = LEVIN_INIT(levin_request);
  request.prompt = prompt;
  request.prompt_count = prompt ? count : 0;
  request.max_tokens = 32;
  request.sampling = &sampling;
  request.on_token = print_token;

  levin_session *session = NULL;
  if (levin_session_create(model, NULL, &session, &error) ||
      levin_generate(session, &request, &error))
    status = fail(error);
  else
    printf("\n");
  levin_session_free(session);
  levin_model_free(model);
  free(prompt);
  return status;
}
