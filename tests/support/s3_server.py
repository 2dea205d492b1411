"""An S3 server for the tests that checks signatures: moto in IAM mode, with a bucket filled from a folder.

    s3_server.py BUCKET FOLDER

Prints one JSON line with `endpoint`, `key` and `secret`, then serves until its stdin closes. Every request must be
signed with that pair; the signature is computed anew with the vendor's own code.
"""

import json
import logging
import os
import sys
from pathlib import Path

# moto lets this many calls through unchecked: the four that make the user and the bucket.
os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "4"
logging.getLogger("werkzeug").setLevel(logging.ERROR)

import boto3  # noqa: E402  (the variable must be set before moto is imported)
from moto.server import ThreadedMotoServer  # noqa: E402


def main(bucket, folder):
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"

    def client(service, key="none", secret="none"):
        return boto3.client(service, endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=key,
                            aws_secret_access_key=secret)

    iam = client("iam")
    iam.create_user(UserName="tester")
    pair = iam.create_access_key(UserName="tester")["AccessKey"]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    iam.put_user_policy(UserName="tester", PolicyName="all", PolicyDocument=json.dumps(policy))
    client("s3").create_bucket(Bucket=bucket)

    s3 = client("s3", pair["AccessKeyId"], pair["SecretAccessKey"])
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            s3.put_object(Bucket=bucket, Key=path.relative_to(folder).as_posix(), Body=path.read_bytes())
    print(json.dumps({"endpoint": endpoint, "key": pair["AccessKeyId"], "secret": pair["SecretAccessKey"]}), flush=True)
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
