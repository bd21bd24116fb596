// The part in 3D on the grid of a bed, turned by mouse, finger or arrow keys. Draws only when something changed.
import { AmbientLight, Color, DirectionalLight, GridHelper, Mesh, MeshStandardMaterial, PerspectiveCamera, Scene, Vector3, WebGLRenderer } from "three";
import { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";
import { STLLoader } from "three/examples/jsm/loaders/STLLoader.js";

for (const box of document.querySelectorAll(".viewer[data-stl]")) start(box);

async function start(box) {
  const message = box.querySelector("[data-said]");
  let renderer;
  try {
    renderer = new WebGLRenderer({ antialias: true, alpha: true });
  } catch {
    return; // The page already shows the sentence that says what is needed.
  }
  message.textContent = "…";
  try {
    const answer = await fetch(box.dataset.stl, { credentials: "same-origin" });
    if (!answer.ok) throw new Error(String(answer.status));
    const geometry = new STLLoader().parse(await answer.arrayBuffer());
    message.remove();
    show(box, renderer, geometry);
    box.dataset.shown = "yes";
  } catch {
    message.textContent = "3D ✕";
  }
}

function show(box, renderer, geometry) {
  geometry.computeVertexNormals();
  geometry.computeBoundingBox();
  const size = geometry.boundingBox.getSize(new Vector3());
  const middle = geometry.boundingBox.getCenter(new Vector3());
  geometry.translate(-middle.x, -middle.y, -geometry.boundingBox.min.z);

  const material = new MeshStandardMaterial({ color: new Color(box.dataset.hex || "#b9b5aa"), roughness: 0.62, metalness: 0.02 });
  const part = new Mesh(geometry, material);
  const scene = new Scene();
  scene.up.set(0, 0, 1);
  scene.add(part, new AmbientLight(0xffffff, 1.1));
  const sun = new DirectionalLight(0xffffff, 2.2);
  sun.position.set(1, -1.4, 2);
  const fill = new DirectionalLight(0xffffff, 0.7);
  fill.position.set(-1, 1, 0.6);
  scene.add(sun, fill);

  // All distances follow the size of the part, so that a ring and a bench look equally large.
  const reach = Math.max(size.x, size.y, size.z, 1);
  // In whole squares of 10 mm.
  const bed = Math.max(20, Math.ceil((Math.max(size.x, size.y) * 1.5) / 10) * 10);
  const grid = new GridHelper(bed, bed / 10, 0x8a8f8b, 0xb9bdb8);
  grid.rotation.x = Math.PI / 2;
  grid.material.transparent = true;
  grid.material.opacity = 0.5;
  scene.add(grid);

  const camera = new PerspectiveCamera(35, 4 / 3, reach / 100, reach * 30);
  camera.up.set(0, 0, 1);
  camera.position.set(reach * 1.7, -reach * 2.5, reach * 1.6);
  const controls = new OrbitControls(camera, renderer.domElement);
  controls.target.set(0, 0, size.z / 2);
  controls.enablePan = false;
  controls.enableZoom = true;
  controls.minDistance = reach * 0.8;
  controls.maxDistance = reach * 8;
  controls.zoomSpeed = 0.6;

  const canvas = renderer.domElement;
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", box.dataset.turn || "3D");
  box.append(canvas);

  let scheduled = false;
  const draw = () => {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(() => { scheduled = false; renderer.render(scene, camera); });
  };
  const fit = () => {
    const { width, height } = box.getBoundingClientRect();
    renderer.setPixelRatio(Math.min(devicePixelRatio, 2)); // Phones have 3 and more: slower, and no eye sees it.
    renderer.setSize(width, height, false);
    camera.aspect = width / height;
    camera.updateProjectionMatrix();
    draw();
  };
  controls.addEventListener("change", draw);
  controls.update();
  canvas.addEventListener("keydown", (event) => turnByKey(event, camera, controls));
  document.addEventListener("shade", (event) => { material.color.set(event.detail); draw(); });
  new ResizeObserver(fit).observe(box);
  fit();
}

function turnByKey(event, camera, controls) {
  const step = { ArrowLeft: [0.15, 0], ArrowRight: [-0.15, 0], ArrowUp: [0, 0.12], ArrowDown: [0, -0.12] }[event.key];
  if (!step) return;
  event.preventDefault();
  const position = camera.position.clone().sub(controls.target);
  position.applyAxisAngle(new Vector3(0, 0, 1), step[0]);
  // Not over the pole, where "up" has no direction and the picture would turn over.
  const side = new Vector3(0, 0, 1).cross(position).normalize();
  const tilted = position.clone().applyAxisAngle(side, -step[1]);
  if (Math.abs(tilted.clone().normalize().z) < 0.98) position.copy(tilted);
  camera.position.copy(controls.target).add(position);
  controls.update();
}
