"""The loop of cache.set that an application has as its command warm_cache, in a Django without anything else."""
import os
import sys

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="of the bench", USE_TZ=True, DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "bench_warm", "USER": "postgres", "HOST": os.environ["PGHOST"]}},
    CACHES={"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "unix://" + sys.argv[1]}},
)
django.setup()

from django.core.cache import cache  # noqa: E402
from django.db import models  # noqa: E402


class Template(models.Model):
    title = models.CharField(max_length=200)
    body = models.TextField()
    is_active = models.BooleanField()
    price = models.DecimalField(max_digits=10, decimal_places=2)
    extra = models.JSONField()
    created = models.DateTimeField()

    class Meta:
        app_label = "forge"
        db_table = "forge_template"


for template in Template.objects.filter(is_active=True):
    cache.set("template:%d" % template.id, template, timeout=3600)
    sys.stdout.write("Cached template: %s\n" % template.title)
