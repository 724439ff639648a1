"""The tensor SSA: types, values, ops and graphs."""
