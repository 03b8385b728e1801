"""The way back: rows that become properties, events and messages in Dashly, as a dlt destination.

```python
import dlt
from dashly_activation import dashly_activation

pipeline = dlt.pipeline("scores", destination=dashly_activation(identity="id"))
pipeline.run([{"id": "1448121617782670208", "health_score": 72}], table_name="props")
```
"""

from dashly_activation.destination import dashly_activation

__all__ = ["dashly_activation"]
