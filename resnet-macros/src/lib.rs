//! The resnet! macro.
