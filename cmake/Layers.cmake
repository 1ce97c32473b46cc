# A layer is one static library with an include directory that holds nothing but itself
# (operator/http/include/http/...), so a file can include only its own layer and those the layer links.
# tests/layers compiles every forbidden pair and expects it to fail; `#include "../` is refused by `make lint`.
#
#   frollback_layer(http LINK base json PRIVATE cpprestsdk::cpprest)
#
# Sources are every .cpp in src/, headers every file in include/.
add_library(frollback_flags INTERFACE)
target_compile_options(frollback_flags INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Werror=return-type
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety;-Werror=thread-safety>)
option(FROLLBACK_WERROR "treat warnings as errors" OFF)
if(FROLLBACK_WERROR)
  target_compile_options(frollback_flags INTERFACE -Werror)
endif()

# For code that decides and waits: the operator's image is to be small, and -Os halves what reconcilers take.
add_library(frollback_small INTERFACE)
target_compile_options(frollback_small INTERFACE $<$<CONFIG:Release>:-Os>)

function(frollback_layer name)
  cmake_parse_arguments(ARG "" "" "LINK;PRIVATE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/src/*.cpp)
  if(sources)
    add_library(frollback_${name} STATIC ${sources})
    target_include_directories(frollback_${name} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/include
                                                 PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/src)
    list(TRANSFORM ARG_LINK PREPEND frollback_)
    target_link_libraries(frollback_${name} PUBLIC ${ARG_LINK} PRIVATE ${ARG_PRIVATE} frollback_flags)
  else()
    add_library(frollback_${name} INTERFACE)
    target_include_directories(frollback_${name} INTERFACE ${CMAKE_CURRENT_SOURCE_DIR}/include)
    list(TRANSFORM ARG_LINK PREPEND frollback_)
    target_link_libraries(frollback_${name} INTERFACE ${ARG_LINK})
  endif()
endfunction()
