levin_add_unit_test(text-parity-test text_parity_test.cpp LIBS LevinText)
