"""Steps of the session of boto3.test.ts: `python3 boto3-session.py STEP`, one after the other, against one store.

boto3 finds its keys and the endpoint in the environment; nothing is set that a program would not set.
"""

import concurrent.futures
import hashlib
import os
import subprocess
import sys

import boto3
from botocore.client import Config
from botocore.exceptions import ClientError

endpoint = os.environ["ENDPOINT"]
s3 = boto3.client("s3", endpoint_url=endpoint)
resource = boto3.resource("s3", endpoint_url=endpoint)
BUCKET = "bucket"
LARGE = 100_000_000
MANY = 1_100


def error_of(call, **parameters):
    try:
        call(**parameters)
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    raise AssertionError("it went well")


def buckets():
    s3.create_bucket(Bucket=BUCKET)
    s3.get_waiter("bucket_exists").wait(Bucket=BUCKET)
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == [BUCKET]
    assert s3.get_bucket_location(Bucket=BUCKET)["LocationConstraint"] is None
    assert error_of(s3.head_bucket, Bucket="nothing-there") == ("404", 404)
    elsewhere = {"LocationConstraint": "eu-west-1"}
    s3.create_bucket(Bucket="elsewhere", CreateBucketConfiguration=elsewhere)
    assert s3.get_bucket_location(Bucket="elsewhere")["LocationConstraint"] == "eu-west-1"
    s3.delete_bucket(Bucket="elsewhere")
    s3.get_waiter("bucket_not_exists").wait(Bucket="elsewhere")


def small():
    put = s3.put_object(Bucket=BUCKET, Key="small", Body=b"a few bytes", ContentType="text/x-small", Metadata={"colour": "blue"})
    assert put["ETag"] == '"%s"' % hashlib.md5(b"a few bytes").hexdigest()
    got = s3.get_object(Bucket=BUCKET, Key="small")
    assert got["Body"].read() == b"a few bytes"
    assert (got["ContentType"], got["Metadata"], got["ContentLength"]) == ("text/x-small", {"colour": "blue"}, 11)
    assert error_of(s3.get_object, Bucket=BUCKET, Key="nothing") == ("NoSuchKey", 404)
    # It waits for "100 Continue" for both, and is confused for a minute by an answer without it.
    for body in [b"", b"after an empty one"]:
        s3.put_object(Bucket=BUCKET, Key="small", Body=body)
        assert s3.get_object(Bucket=BUCKET, Key="small")["Body"].read() == body
    for key in ["a b", "a+b", "50%", "für/漢字", "../up", "a//b", "/slash", "trailing/", "q?x=1&y#z", "control\x01"]:
        s3.put_object(Bucket=BUCKET, Key="hard/" + key, Body=key.encode())
        assert s3.get_object(Bucket=BUCKET, Key="hard/" + key)["Body"].read() == key.encode(), key
    listed = [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET, Prefix="hard/")["Contents"]]
    assert len(listed) == 10 and "hard/control\x01" in listed and listed == sorted(listed, key=lambda key: key.encode())


def large():
    with open("large", "rb") as file:
        content = file.read()
    s3.upload_file("large", BUCKET, "large", ExtraArgs={"Metadata": {"size": "large"}})
    head = s3.head_object(Bucket=BUCKET, Key="large")
    assert head["ContentLength"] == LARGE and head["ETag"].endswith('-12"'), head
    s3.download_file(BUCKET, "large", "large.back")
    with open("large.back", "rb") as file:
        assert file.read() == content
    with open("large", "rb") as file:
        s3.upload_fileobj(file, BUCKET, "stream")
    assert s3.head_object(Bucket=BUCKET, Key="stream")["ETag"] == head["ETag"]
    part = s3.get_object(Bucket=BUCKET, Key="large", PartNumber=12)
    assert part["PartsCount"] == 12 and part["Body"].read() == content[11 * 8 * 1024 * 1024 :]


def ranges():
    with open("large", "rb") as file:
        content = file.read()
    for asked, expected in {
        "bytes=0-0": content[:1],
        "bytes=50000000-50100000": content[50_000_000:50_100_001],
        "bytes=-7": content[-7:],
        "bytes=99999990-": content[99_999_990:],
    }.items():
        got = s3.get_object(Bucket=BUCKET, Key="large", Range=asked)
        assert got["Body"].read() == expected, asked
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert error_of(s3.get_object, Bucket=BUCKET, Key="large", Range="bytes=100000000-") == ("InvalidRange", 416)


def copies():
    source = {"Bucket": BUCKET, "Key": "large"}
    s3.copy(source, BUCKET, "large copy")
    assert s3.head_object(Bucket=BUCKET, Key="large copy")["ContentLength"] == LARGE
    s3.copy_object(Bucket=BUCKET, Key="small copy", CopySource={"Bucket": BUCKET, "Key": "hard/für/漢字"})
    assert s3.get_object(Bucket=BUCKET, Key="small copy")["Body"].read().decode() == "für/漢字"
    s3.copy_object(Bucket=BUCKET, Key="small", CopySource=BUCKET + "/small", MetadataDirective="REPLACE", Metadata={"new": "1"})
    assert s3.head_object(Bucket=BUCKET, Key="small")["Metadata"] == {"new": "1"}


def listing():
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda index: s3.put_object(Bucket=BUCKET, Key="many/%04d" % index, Body=b"%d" % index), range(MANY)))
    expected = ["many/%04d" % index for index in range(MANY)]
    for name in ["list_objects_v2", "list_objects"]:
        pages = list(s3.get_paginator(name).paginate(Bucket=BUCKET, Prefix="many/"))
        assert [len(page["Contents"]) for page in pages] == [1000, 100]
        assert [entry["Key"] for page in pages for entry in page["Contents"]] == expected
    assert [entry.key for entry in resource.Bucket(BUCKET).objects.filter(Prefix="many/")] == expected
    folders = s3.list_objects_v2(Bucket=BUCKET, Delimiter="/", MaxKeys=2)
    assert folders["IsTruncated"] and folders["KeyCount"] == 2
    assert [prefix["Prefix"] for prefix in folders["CommonPrefixes"]] == ["hard/"]


def conditions():
    put = s3.put_object(Bucket=BUCKET, Key="conditional", Body=b"1")
    assert error_of(s3.get_object, Bucket=BUCKET, Key="conditional", IfNoneMatch=put["ETag"]) == ("304", 304)
    assert error_of(s3.get_object, Bucket=BUCKET, Key="conditional", IfMatch='"other"') == ("PreconditionFailed", 412)
    if "IfNoneMatch" in s3.meta.service_model.operation_model("PutObject").input_shape.members:
        parameters = {"Bucket": BUCKET, "Key": "conditional", "Body": b"2", "IfNoneMatch": "*"}
        assert error_of(s3.put_object, **parameters) == ("PreconditionFailed", 412)
        s3.put_object(Bucket=BUCKET, Key="conditional", Body=b"2", IfMatch=put["ETag"])


def checksums():
    members = s3.meta.service_model.shape_for("ChecksumAlgorithm").enum
    for algorithm in [name for name in ["SHA1", "SHA256", "CRC32"] if name in members]:
        put = s3.put_object(Bucket=BUCKET, Key="checked", Body=b"checked", ChecksumAlgorithm=algorithm)
        head = s3.head_object(Bucket=BUCKET, Key="checked", ChecksumMode="ENABLED")
        assert put["Checksum" + algorithm] == head["Checksum" + algorithm]
    got = s3.get_object(Bucket=BUCKET, Key="checked", ChecksumMode="ENABLED")
    assert got["Body"].read() == b"checked"
    s3.upload_file("large", BUCKET, "checked large", ExtraArgs={"ChecksumAlgorithm": "SHA256"})
    attributes = s3.get_object_attributes(Bucket=BUCKET, Key="checked large", ObjectAttributes=["Checksum", "ObjectParts", "ObjectSize"])
    assert attributes["ObjectSize"] == LARGE and attributes["ObjectParts"]["TotalPartsCount"] == 12, attributes
    assert "ChecksumSHA256" in attributes["Checksum"], attributes


def curl(url, *options):
    """As somebody without keys would: the status and the body."""
    command = ["curl", "--silent", "--show-error", "--output", "answer", "--write-out", "%{http_code}", *options, url]
    status = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    with open("answer", "rb") as file:
        return status, file.read()


def presigned():
    def sign(name, **parameters):
        return s3.generate_presigned_url(name, Params={"Bucket": BUCKET, "Key": "signed +ü", **parameters}, ExpiresIn=60)

    with open("sent", "wb") as file:
        file.write(b"sent")
    assert curl(sign("put_object"), "--upload-file", "sent")[0] == 200
    assert curl(sign("get_object")) == (200, b"sent")
    assert curl(sign("head_object"), "--head")[0] == 200
    assert curl(sign("get_object", ResponseContentType="text/x-other"))[0] == 200
    form = s3.generate_presigned_post(BUCKET, "form/${filename}", Conditions=[["starts-with", "$key", "form/"]])
    fields = [option for name, value in form["fields"].items() for option in ("--form-string", name + "=" + value)]
    assert curl(form["url"], *fields, "--form", "file=@sent")[0] == 204
    assert s3.get_object(Bucket=BUCKET, Key="form/sent")["Body"].read() == b"sent"
    assert curl(sign("delete_object"), "--request", "DELETE")[0] == 204
    assert curl(sign("get_object"))[0] == 404


def signatures():
    def client(**keys):
        return boto3.client("s3", endpoint_url=endpoint, config=Config(signature_version="s3"), **keys)

    old = client()
    old.put_object(Bucket=BUCKET, Key="old/small+ü", Body=b"small", Tagging="x=y", Metadata={"a": "b"})
    got = old.get_object(Bucket=BUCKET, Key="old/small+ü", Range="bytes=1-2")
    assert (got["Body"].read(), got["Metadata"]) == (b"ma", {"a": "b"})
    assert error_of(client(aws_access_key_id=os.environ["AWS_ACCESS_KEY_ID"], aws_secret_access_key="wrong").head_bucket, Bucket=BUCKET) == ("403", 403)
    # Some versions sign sub-resources twice over ("?uploads?uploads"), which nobody can verify.
    if (1, 26) <= tuple(map(int, boto3.__version__.split(".")[:2])) < (1, 30):
        s3.delete_object(Bucket=BUCKET, Key="old/small+ü")
        return
    assert old.get_object_tagging(Bucket=BUCKET, Key="old/small+ü")["TagSet"] == [{"Key": "x", "Value": "y"}]
    old.upload_file("large", BUCKET, "old/large")
    assert [entry["Size"] for entry in old.list_objects_v2(Bucket=BUCKET, Prefix="old/")["Contents"]] == [LARGE, 5]
    old.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "old/small+ü"}, {"Key": "old/large"}]})


def versions():
    s3.create_bucket(Bucket="versions")
    s3.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    ids = [s3.put_object(Bucket="versions", Key="file", Body=text)["VersionId"] for text in [b"first", b"second"]]
    marker = s3.delete_object(Bucket="versions", Key="file")
    assert marker["DeleteMarker"] is True
    assert error_of(s3.get_object, Bucket="versions", Key="file") == ("NoSuchKey", 404)
    assert s3.get_object(Bucket="versions", Key="file", VersionId=ids[0])["Body"].read() == b"first"
    listed = s3.list_object_versions(Bucket="versions")
    assert [version["VersionId"] for version in listed["Versions"]] == ids[::-1]
    assert [version["IsLatest"] for version in listed["DeleteMarkers"]] == [True]
    s3.delete_object(Bucket="versions", Key="file", VersionId=marker["VersionId"])
    assert s3.get_object(Bucket="versions", Key="file")["Body"].read() == b"second"
    resource.Bucket("versions").object_versions.delete()
    s3.delete_bucket(Bucket="versions")


def settings():
    s3.put_object_tagging(Bucket=BUCKET, Key="small", Tagging={"TagSet": [{"Key": "team", "Value": "red"}]})
    assert s3.get_object_tagging(Bucket=BUCKET, Key="small")["TagSet"] == [{"Key": "team", "Value": "red"}]
    rule = {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": "old/"}, "Expiration": {"Days": 3}}
    s3.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration={"Rules": [rule]})
    assert s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"] == [rule]
    s3.put_bucket_cors(Bucket=BUCKET, CORSConfiguration={"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]})
    assert s3.get_bucket_cors(Bucket=BUCKET)["CORSRules"][0]["AllowedMethods"] == ["GET"]
    assert error_of(s3.get_bucket_policy, Bucket=BUCKET) == ("NoSuchBucketPolicy", 404)
    assert error_of(s3.get_bucket_website, Bucket=BUCKET) == ("NoSuchWebsiteConfiguration", 404)


def trees():
    names = [os.path.relpath(os.path.join(folder, name), "tree") for folder, _, files in os.walk("tree") for name in files]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: s3.upload_file(os.path.join("tree", name), BUCKET, "tree/" + name), names))
    for entry in resource.Bucket(BUCKET).objects.filter(Prefix="tree/"):
        file = os.path.join("tree.back", entry.key[len("tree/") :])
        os.makedirs(os.path.dirname(file), exist_ok=True)
        s3.download_file(BUCKET, entry.key, file)


def deletes():
    assert error_of(s3.delete_bucket, Bucket=BUCKET) == ("BucketNotEmpty", 409)
    keys = [{"Key": "many/%04d" % index} for index in range(1000)]
    assert len(s3.delete_objects(Bucket=BUCKET, Delete={"Objects": keys})["Deleted"]) == 1000
    # No XML can name it.
    s3.delete_object(Bucket=BUCKET, Key="hard/control\x01")
    resource.Bucket(BUCKET).objects.all().delete()
    s3.delete_bucket(Bucket=BUCKET)
    assert s3.list_buckets()["Buckets"] == []


globals()[sys.argv[1]]()
