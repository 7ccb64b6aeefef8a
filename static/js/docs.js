// Swagger UI on a page of ours: its parts in our layout, and its elements made fit for assistive technology.

const place = document.getElementById("api-docs");

const parts = ({ React }) => {
  const h = React.createElement;

  const Layout = ({ getComponent, specSelectors }) => {
    const status = specSelectors.loadingStatus();
    if (status === "failed" || status === "failedConfig") {
      return h("p", { role: "alert" }, "The OpenAPI document could not be read. Load the page again in a moment.");
    }
    if (status !== "success") return h("p", null, "Reading the OpenAPI document …");
    const part = (name, wrapped = true) => h(getComponent(name, wrapped));
    return h(
      "div",
      { className: "swagger-ui" },
      part("SvgAssets", false),
      h("div", { className: "section-head" }, h("h2", null, "Operations"), part("AuthorizeBtnContainer")),
      part("errors"),
      part("operations"),
      part("Models"),
    );
  };

  // A region without a name is one landmark too many for each operation that is open.
  const responses = (Original) => (props) => {
    const ref = React.useRef(null);
    React.useEffect(() => ref.current.querySelectorAll("[role=region]").forEach((each) => each.removeAttribute("role")));
    return h("div", { ref }, h(Original, props));
  };

  return {
    components: { Layout },
    wrapComponents: {
      responses,
      DeepLink: () => ({ text }) => h("span", null, text), // it stands in a button; opening that writes the address
      TextArea: (Original) => (props) => h(Original, { "aria-label": "Request body", ...props }),
    },
  };
};

SwaggerUIBundle({
  url: place.dataset.schema,
  domNode: place,
  layout: "Layout",
  plugins: [parts],
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  syntaxHighlight: { activated: false },
  requestInterceptor: (request) => {
    if (new URL(request.url, location.href).origin === location.origin) {
      Object.assign(request.headers, JSON.parse(document.body.getAttribute("hx-headers") ?? "{}"));
    }
    return request;
  },
});
