import os

SECRET_KEY = "of the tests"
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.postgres", "forge"]
DATABASES = {"default": {
    "ENGINE": "django.db.backends.postgresql", "NAME": os.environ["WARM_DB"], "USER": os.environ["WARM_USER"],
    "HOST": os.environ["WARM_HOST"], "PORT": os.environ["WARM_PORT"],
}}
CACHES = {"default": {
    "BACKEND": "django_redis.cache.RedisCache", "LOCATION": os.environ["WARM_REDIS"], "KEY_PREFIX": "bmad", "VERSION": 3,
    "OPTIONS": {"SERIALIZER": os.environ.get("WARM_SERIALIZER", "django_redis.serializers.pickle.PickleSerializer")},
}}
