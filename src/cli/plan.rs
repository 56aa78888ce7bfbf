//! `ctl plan`: shows what would change, and changes nothing.

use tokio_util::sync::CancellationToken;

use super::args::{Output, PlanArgs};
use super::session::{self, Planned, Session, Wishes, refusal_exit};
use super::{Context, Exit, Stop};
use crate::model::{Kind, TargetName};
use crate::report::{PlanView, plan_json, plan_markdown, plan_text, shown};

/// Plans and prints.
pub(super) async fn run(ctx: &Context, args: &PlanArgs, cancel: &CancellationToken) -> Result<Exit, Stop> {
    let wishes = Wishes {
        source: &args.source,
        selection: &args.selection,
        leave: &args.leave,
        limits: &args.limits,
        dirty: args.dirty,
    };
    let session = Session::open(ctx, &wishes).await?;
    ctx.tell(&session.loaded.diagnostics);
    ctx.tell(&session.snapshot.diagnostics);
    let mut planned = session.plan(ctx, cancel).await;
    let text = rendered(ctx, &session, &mut planned, args.output, args.show_all);
    ctx.print(&text);
    if args.output != Output::Text {
        ctx.tell(&session::refusals(&planned.plan));
    }
    ctx.tell(&session::advice(&planned).into_iter().collect::<Vec<_>>());
    session.close().await;
    let mut exit = planned.exit.and(refusal_exit(&planned.plan));
    if cancel.is_cancelled() {
        exit = exit.and(Exit::Interrupted);
    }
    if args.detailed_exitcode && !planned.plan.is_empty() {
        exit = exit.and(Exit::Changes);
    }
    // As in `Session::close`: the program ends now.
    std::mem::forget(planned);
    Ok(exit)
}

/// The plan in the form that was asked for, secrets hidden.
pub(super) fn rendered(
    ctx: &Context,
    session: &Session,
    planned: &mut Planned,
    output: Output,
    show_all: bool,
) -> String {
    match output {
        Output::Text => {
            let shown = shown(&planned.plan, show_all);
            session.locate_those(&mut planned.plan, &shown);
        }
        Output::Json | Output::Markdown => session.locate(&mut planned.plan, usize::MAX),
    }
    let plan = &planned.plan;
    let (checksum, deletes_checksum) = (planned.checksum, plan.deletes_checksum());
    let key_names = |target: &TargetName, kind: &Kind| session.key_names(target, kind);
    let folder = session.project().folder.as_str();
    let view = PlanView { style: ctx.out, show_all, checksum, deletes_checksum, folder, key_names: &key_names };
    let text = match output {
        Output::Text => plan_text(plan, &view),
        Output::Json => plan_json(plan, &checksum, &deletes_checksum, &key_names),
        Output::Markdown => plan_markdown(plan, &view),
    };
    session.redactor.hide(&text)
}
