// Expressions as the catalog prints them, freed of what a dump and restore change without changing the meaning.
//
//   CHECK (((s)::text = ANY ((ARRAY['a'::character varying])::text[])))   before
//   CHECK (((s)::text = ANY (ARRAY[('a'::character varying)::text])))     after one dump and restore
//
// Casts, parentheses and white space outside quotes go; both read  CHECKs=ANYARRAY['a'].
#pragma once

#include <string>
#include <string_view>

namespace rollback::mover {

std::string normalise(std::string_view expression);

}  // namespace rollback::mover
