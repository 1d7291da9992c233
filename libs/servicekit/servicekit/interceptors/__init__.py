"""What happens around every RPC: context, metrics, errors, validation; one flat interceptor."""

from servicekit.interceptors.request import RequestInterceptor

__all__ = ["RequestInterceptor"]
