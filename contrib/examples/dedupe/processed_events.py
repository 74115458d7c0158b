"""Django: a model, its migration made by `manage.py makemigrations`, and once()."""
import datetime

from django.db import models, transaction
from django.utils import timezone


class ProcessedEvent(models.Model):
    event_id = models.CharField(max_length=100, unique=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)


def once(event_id, effect):
    """Calls effect() unless an event of this id was processed; both are one transaction. Says whether it did."""
    with transaction.atomic():
        _, is_new = ProcessedEvent.objects.get_or_create(event_id=event_id)
        if is_new:
            effect()
        return is_new


def forget(older_than=datetime.timedelta(days=30)):
    """Each night, from a job."""
    ProcessedEvent.objects.filter(created_at__lt=timezone.now() - older_than).delete()
