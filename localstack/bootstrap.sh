#!/bin/sh
# Inside LocalStack's container, once it is ready: the bucket and the table that `gopcast up` names by default, as infra/data/table.json has it.
set -eu
awslocal s3api head-bucket --bucket gopcast 2>/dev/null || awslocal s3api create-bucket --bucket gopcast
awslocal dynamodb describe-table --table-name gopcast >/dev/null 2>&1 || {
    awslocal dynamodb create-table --table-name gopcast --billing-mode PAY_PER_REQUEST \
        --key-schema AttributeName=pk,KeyType=HASH AttributeName=sk,KeyType=RANGE \
        --attribute-definitions AttributeName=pk,AttributeType=S AttributeName=sk,AttributeType=S
    awslocal dynamodb wait table-exists --table-name gopcast
    awslocal dynamodb update-time-to-live --table-name gopcast --time-to-live-specification AttributeName=ttl,Enabled=true
}
