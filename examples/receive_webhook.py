"""Checks webhooks in Python, with the standard library alone, as a Django view needs it; and receives them without Django.

    WEBHOOK_SECRET=whsec_... PORT=9000 python3 examples/receive_webhook.py

In Django copy `verify` into `webhooks.py`, and write this view. `Received` is a model whose primary key is the message's id, so that
one that comes twice is kept once:

    @csrf_exempt
    @require_POST
    def badgekit(request):
        try:
            message = verify(request.headers, request.body, settings.BADGEKIT_WEBHOOK_SECRET)
        except ValueError:
            return HttpResponse(status=400)
        Received.objects.get_or_create(id=request.headers["webhook-id"], defaults={"message": message})
        return HttpResponse(status=204)

Work on what was received in a task of your own, after the answer. Read `request.body`, never `request.POST`, before it: the
signature is over the bytes.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import time
from http.server import BaseHTTPRequestHandler, HTTPServer


def verify(headers, body, secret, tolerance=300):
    """The message, or ValueError: `headers` may be asked in any case, as Django's may, and `body` is bytes."""
    sent_at = headers.get("webhook-timestamp", "")
    if not sent_at.isascii() or not sent_at.isdigit() or abs(time.time() - int(sent_at)) > tolerance:
        raise ValueError("too old, or its time is missing")
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    text = ("%s.%s." % (headers.get("webhook-id", ""), sent_at)).encode() + body
    wanted = b"v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest())
    # One signature for each live secret: while one is replaced, there are two.
    given = headers.get("webhook-signature", "").encode().split(b" ")
    if not any(hmac.compare_digest(one, wanted) for one in given):
        raise ValueError("not signed by this secret")
    return json.loads(body)


def verify_as_before(headers, body, secret):
    """The same by `Authorization`, which the original BadgeKit sent and django-badgekit-webhooks reads. It has no time in it."""
    found = re.fullmatch(r'JWT token="([\w-]+\.[\w-]+)\.([\w-]+)"', headers.get("authorization", ""))
    if not found:
        raise ValueError("not signed")
    signed, given = found.groups()
    mac = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    wanted = base64.urlsafe_b64encode(mac).rstrip(b"=")
    if not hmac.compare_digest(given.encode(), wanted):
        raise ValueError("not signed by this secret")
    payload = signed.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    if claims["body"] != {"alg": "sha256", "hash": hashlib.sha256(body).hexdigest()}:
        raise ValueError("signed for another body")
    return json.loads(body)


class Receiver(BaseHTTPRequestHandler):
    """What the view does, for a look without Django."""

    seen = set()  # A real receiver keeps these in its database.

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        secret = os.environ["WEBHOOK_SECRET"]
        try:
            message = verify(self.headers, body, secret)
            verify_as_before(self.headers, body, secret)  # Either is enough.
        except ValueError:
            return self.answer(400)
        self.answer(204)
        if self.headers["webhook-id"] not in self.seen:
            self.seen.add(self.headers["webhook-id"])
            print(message["action"], message.get("badge", {}).get("slug"), message.get("email"), flush=True)

    def answer(self, status):
        self.send_response(status)
        self.end_headers()
        self.wfile.flush()

    def log_message(self, *_):
        """Nothing: an address in a log is one too many."""


if __name__ == "__main__":
    server = HTTPServer(("127.0.0.1", int(os.environ.get("PORT", "9000"))), Receiver)
    print("listening", flush=True)
    server.serve_forever()
