# The compiler's libraries that know no IR.
if(TARGET LevinArenaPlanner)
  levin_add_unit_test(ArenaPlannerTest ArenaPlannerTest.cpp LIBS LevinArenaPlanner)
endif()
