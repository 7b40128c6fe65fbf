"""Open media files and read them: the one home for acquisition and extraction.

A container is opened (`opening`), its streams are chosen (`streams`), its times are put on one clock (`clock`), and pictures
(`pictures`, `display`) and sound (`sound`) come out in the order in which they are shown. `process`, `child` and `messages`
are the decoding processes in which that happens, because files are hostile and decoders crash.
"""
