# The compiler's libraries that know no IR.
if(TARGET LevinArenaPlanner)
  levin_add_unit_test(ArenaPlannerTest ArenaPlannerTest.cpp LIBS LevinArenaPlanner)
endif()

# Parts of code generation that are tested by themselves.
if(TARGET LevinCudaTemplates)
  levin_add_tool(FunctorTest FunctorTest.cpp)
  target_link_libraries(FunctorTest PRIVATE LevinCudaTemplates GTest::gtest GTest::gtest_main)
  gtest_discover_tests(FunctorTest DISCOVERY_MODE PRE_TEST PROPERTIES LABELS unit)
  levin_add_tool(GemvTemplateTest GemvTemplateTest.cpp)
  target_link_libraries(GemvTemplateTest PRIVATE LevinCudaTemplates GTest::gtest GTest::gtest_main)
  gtest_discover_tests(GemvTemplateTest DISCOVERY_MODE PRE_TEST PROPERTIES LABELS unit)
  levin_add_tool(GemmTemplateTest GemmTemplateTest.cpp)
  target_link_libraries(GemmTemplateTest PRIVATE LevinCudaTemplates GTest::gtest GTest::gtest_main)
  gtest_discover_tests(GemmTemplateTest DISCOVERY_MODE PRE_TEST PROPERTIES LABELS unit)
  levin_add_tool(AttentionTemplateTest AttentionTemplateTest.cpp)
  target_link_libraries(AttentionTemplateTest PRIVATE LevinCudaTemplates GTest::gtest
    GTest::gtest_main)
  gtest_discover_tests(AttentionTemplateTest DISCOVERY_MODE PRE_TEST PROPERTIES LABELS unit)
  levin_add_tool(LightningTemplateTest LightningTemplateTest.cpp)
  target_link_libraries(LightningTemplateTest PRIVATE LevinCudaTemplates GTest::gtest
    GTest::gtest_main)
  gtest_discover_tests(LightningTemplateTest DISCOVERY_MODE PRE_TEST PROPERTIES LABELS unit)
  levin_add_tool(CudaAssemblerTest CudaAssemblerTest.cpp)
  target_link_libraries(CudaAssemblerTest PRIVATE LevinCudaCodegen LevinDialects GTest::gtest
    GTest::gtest_main)
  gtest_discover_tests(CudaAssemblerTest DISCOVERY_MODE PRE_TEST PROPERTIES LABELS unit)
endif()
