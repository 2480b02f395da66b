"""A camera on the network: MJPEG over HTTP, as many of them speak it, that can break off and come back."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np


class MjpegCamera:
    """Serves frames in a loop; ``with MjpegCamera(frames) as camera: camera.url``."""

    def __init__(self, frames: Sequence[np.ndarray], fps: float = 25.0, port: int = 0) -> None:
        self.jpegs = [cv2.imencode(".jpg", frame[:, :, ::-1])[1].tobytes() for frame in frames]
        self.fps, self.on, self.sent = fps, threading.Event(), 0
        self.on.set()
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if not camera.on.is_set():
                    self.send_error(503)
                    return
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                try:
                    for jpeg in itertools.cycle(camera.jpegs):
                        if not camera.on.is_set():
                            return
                        self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n")
                        self.wfile.write(b"Content-Length: %d\r\n\r\n%b\r\n" % (len(jpeg), jpeg))
                        camera.sent += 1
                        time.sleep(1 / camera.fps)
                except OSError:  # whoever watched is gone
                    return

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/stream.mjpg"

    def __enter__(self) -> MjpegCamera:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.on.clear()
        self.server.shutdown()
        self.server.server_close()
