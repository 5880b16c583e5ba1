"""How a user names a source: said in --help, which must not load the audio libraries, and when a name is refused."""

FORMS = """\
  mic                         the default microphone
  mic:NAME                    the microphone whose name contains NAME, or its number (see `sound-monitor devices`)
  door.wav                    an audio file of any common format, played in real time (--loop repeats it)
  pcm:-[@RATE[xCHANNELS]]     raw little-endian 16-bit samples on standard input, by default 16000x1
  pcm:PATH[@RATE[xCHANNELS]]  the same from a FIFO or a file
  rtsp://... http://...       a network stream, also rtsps, https, rtmp and udp
  demo                        a scene that the program synthesises: smoke alarm, siren, chime, knocks"""
