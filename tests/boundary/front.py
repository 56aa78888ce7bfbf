"""A server of TLS in front of a plain one: OpenSSL, as Python has it.

front.py UPSTREAM-PORT CERTIFICATE KEY [AUTHORITY [1.2]]    with an authority, clients must show a certificate of it;
                                                            1.2: no newer TLS than that

Prints its port, and then a line for every connection: who the client is, or what went wrong.
"""

import socket
import ssl
import sys
import threading

upstream, certificate, key = int(sys.argv[1]), sys.argv[2], sys.argv[3]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
if len(sys.argv) > 4:
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(sys.argv[4])
if sys.argv[5:] == ["1.2"]:
    context.maximum_version = ssl.TLSVersion.TLSv1_2


def pour(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass


def carry(plain):
    try:
        with context.wrap_socket(plain, server_side=True) as tls:
            shown = tls.getpeercert()
            name = dict(part[0] for part in shown["subject"])["commonName"] if shown else "nobody"
            print("client", name, flush=True)
            with socket.create_connection(("127.0.0.1", upstream)) as inner:
                threading.Thread(target=pour, args=(tls, inner), daemon=True).start()
                pour(inner, tls)
    except OSError as error:
        print("refused", error, flush=True)


listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    threading.Thread(target=carry, args=(listener.accept()[0],), daemon=True).start()
