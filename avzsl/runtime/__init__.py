"""Services of a running process: jobs and their logs, left-overs of killed runs, caches, downloads, progress, devices.

They build on the contracts alone and know nothing of clips, methods or rules. Nothing in here imports torch.
"""
