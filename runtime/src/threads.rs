//! The threads of a session: a fixed team that shares out one layer after another.
