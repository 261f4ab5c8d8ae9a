# Tokenizer, chat templates and what the tools share.
levin_add_unit_test(text-parity-test text_parity_test.cpp LIBS LevinText)
levin_add_unit_test(text-template-test text_template_test.cpp LIBS LevinText)
levin_add_unit_test(text-tokenizer-test text_tokenizer_test.cpp LIBS LevinText)
levin_add_unit_test(tools-test text_tools_test.cpp LIBS LevinToolSupport)
levin_add_unit_test(levin-run-test text_run_test.cpp LIBS LevinToyModel)
target_compile_definitions(levin-run-test PRIVATE LEVIN_RUN="$<TARGET_FILE:levin-run>")
add_dependencies(levin-run-test levin-run)
