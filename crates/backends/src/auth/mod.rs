//! Auth methods: one folder for each.
