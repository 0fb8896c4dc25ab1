//! The harness behind the suites of Portcullis.
