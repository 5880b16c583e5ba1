"""What opens a microphone, a file, a stream or a pipe, and hands its samples to a ring."""
