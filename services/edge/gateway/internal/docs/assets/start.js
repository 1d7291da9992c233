// Show the API; "Authorize" takes an API key.
window.onload = () => {
  SwaggerUIBundle({ url: '/openapi.json', dom_id: '#api', deepLinking: true, persistAuthorization: true });
};
