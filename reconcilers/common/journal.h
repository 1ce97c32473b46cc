// Lines of a journal (status.steps), found by step and store.
#pragma once

#include <string>
#include <vector>

#include "api/journal.h"

namespace rollback::reconcilers {

inline const api::StepRecord* findRecord(const std::vector<api::StepRecord>& journal, const std::string& name,
                                         const std::string& store = "") {
  for (const auto& record : journal)
    if (record.name == name && record.store == store) return &record;
  return nullptr;
}

// Created empty when absent. The reference dies with the next call that creates one.
inline api::StepRecord& recordOf(std::vector<api::StepRecord>& journal, const std::string& name,
                                 const std::string& store = "") {
  for (auto& record : journal)
    if (record.name == name && record.store == store) return record;
  journal.emplace_back();
  journal.back().name = name;
  journal.back().store = store;
  return journal.back();
}

}  // namespace rollback::reconcilers
