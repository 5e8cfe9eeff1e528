@echo off
rem Builds the image `data-putter` from this folder. Arguments go to `docker build`.
cd /d "%~dp0"
docker build --tag data-putter %* .
