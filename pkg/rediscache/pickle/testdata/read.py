"""Reads lines of base64 and says for each what Python's pickle makes of it: the repr, in the notation of write.py."""
import base64
import json
import pickle
import sys

sys.argv.append("quiet")
sys.stdout, real = open("/dev/null", "w"), sys.stdout
sys.path.insert(0, sys.argv[1])
import write  # noqa: E402

for line in sys.stdin:
    real.write(json.dumps(write.show(pickle.loads(base64.b64decode(line)))) + "\n")
